"""Asks a node as a platform does, and holds every answer against the OpenAPI document.

    answers.py SCENE.json

The scene names document, node, certificates and calls. The document is taken as closed: a member that it does not describe is a
mistake, and so is a successful answer that no call has brought about. Then each member of the document is forbidden in turn,
which must be noticed: so each was in some answer, but for those that the scene calls rare.
"""

import base64
import copy
import json
import re
import sys

import requests
from jsonschema import Draft202012Validator

JSON = re.compile(r"application/(problem\+)?json")


def closed(part):
    """A schema that takes no member which it does not name."""
    if isinstance(part, list):
        return [closed(one) for one in part]
    if not isinstance(part, dict):
        return part
    schema = {name: closed(value) for name, value in part.items()}
    if schema.get("type") == "object" and "properties" in schema:
        schema.setdefault("additionalProperties", False)
    return schema


class Document:
    """What the description says of an answer or of a request's body."""

    def __init__(self, document):
        self.document = document
        self.components = closed(document["components"])
        self.operations = {}
        for path, methods in document["paths"].items():
            shape = re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)))
            for method, operation in methods.items():
                self.operations[operation["operationId"]] = (method.upper(), path, shape, operation)

    def operation(self, method, path):
        """Of those whose path fits, the one with the fewest places to fill in: as the router chooses."""
        fits = [
            (template.count("{"), name)
            for name, (of, template, shape, _) in self.operations.items()
            if of == method and shape.fullmatch(path)
        ]
        return min(fits)[1]

    def successes(self):
        return {
            (name, int(status), media)
            for name, (*_, operation) in self.operations.items()
            for status, answer in operation["responses"].items()
            if status.startswith("2")
            for media in answer.get("content", {})
        }

    def mistakes(self, schema, value):
        validator = Draft202012Validator({**schema, "components": self.components})
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]

    def judge(self, answer):
        """What of an answer is not as described."""
        described = self.operations[answer["operation"]][3]["responses"].get(str(answer["status"]))
        if described is None:
            return [f"status {answer['status']} is not described"]
        content = described.get("content", {}).get(answer["media"])
        if content is None:
            return [f"{answer['media']} is not described for status {answer['status']}"]
        return self.mistakes(content["schema"], answer["body"])


def references(part, schemas, found):
    """Names of all schemas that a part of the document leads to."""
    for name in re.findall(r'"#/components/schemas/(\w+)"', json.dumps(part)):
        if name not in found:
            found.add(name)
            references(schemas[name], schemas, found)
    return found


def forbidden(document):
    """The document with each member that an answer may have forbidden in turn, and the member's name."""
    schemas = document["components"]["schemas"]
    answers = [one["responses"] for methods in document["paths"].values() for one in methods.values()]
    for name in sorted(references(answers, schemas, set())):
        for member in schemas[name].get("properties", {}):
            changed = copy.deepcopy(document)
            changed["components"]["schemas"][name]["properties"][member] = False
            yield f"{name}.{member}", changed


def ask(session, scene, call):
    accept = {"Accept": call["accept"]} if "accept" in call else {}
    body = call.get("json")
    response = session.request(
        call["method"], scene["url"] + call["path"], params=call.get("query"), json=body, headers=accept, timeout=60
    )
    media = response.headers.get("Content-Type", "").split(";")[0]
    if JSON.fullmatch(media):
        body = response.json()
    elif media.startswith("text/"):
        body = response.text
    else:
        body = base64.b64encode(response.content).decode()
    return {"status": response.status_code, "media": media, "body": body}


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        scene = json.load(file)
    with open(scene["document"], encoding="utf-8") as file:
        source = json.load(file)
    document = Document(source)
    session = requests.Session()
    session.trust_env = False
    session.verify, session.cert = scene["trust"], (scene["certificate"], scene["key"])
    wrong, answers = [], []
    for call in scene["calls"]:
        name = document.operation(call["method"], call["path"])
        where = f"{call['method']} {call['path']} {call.get('query', '')}"
        if call.get("json") is not None:
            content = document.operations[name][3]["requestBody"]["content"]["application/json"]
            wrong += [f"{where}: request: {mistake}" for mistake in document.mistakes(content["schema"], call["json"])]
        answer = {"operation": name, **ask(session, scene, call)}
        answers.append(answer)
        found = [answer["status"], answer["body"].get("code") if isinstance(answer["body"], dict) else None]
        if found != [call["status"], call.get("code")]:
            wrong.append(f"{where}: expected {call['status']} {call.get('code')}, found {answer}")
        wrong += [f"{where}: {mistake}" for mistake in document.judge(answer)]
    seen = {(answer["operation"], answer["status"], answer["media"]) for answer in answers}
    wrong += [f"no call was answered so: {success}" for success in sorted(document.successes() - seen)]

    unseen, members = set(), 0
    for member, changed in forbidden(source):
        members += 1
        judge = Document(changed)
        if not any(judge.judge(answer) for answer in answers):
            unseen.add(member)
    if unseen != set(scene["rare"]):
        wrong.append(f"members in no answer: expected {sorted(scene['rare'])}, found {sorted(unseen)}")
    print("\n".join(wrong))
    print(f"{len(answers)} answers are as described, with {members - len(unseen)} of {members} members" if not wrong else "")
    sys.exit(bool(wrong))


main()
