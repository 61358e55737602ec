import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.math.BigInteger;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.security.Signature;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.X509EncodedKeySpec;
import java.time.Duration;
import java.time.OffsetDateTime;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/**
 * Submits a report to Kho over HTTP and verifies its receipt offline. The JDK alone: no library, no protobuf, no gRPC.
 *
 * <pre>java Submit.java URL CLIENT-CA.pem CERT.pem KEY.pem SIGNER.pem SIGNER-KEY.pem VKEY UNIT REGIME PERIOD SERIES TEXT-FILE</pre>
 *
 * CERT is this system's own certificate (the connection), SIGNER the unit's (the report); VKEY is what `kho keys public` prints. The
 * node prepares the header; what is signed here is only what this program has put together itself and found to be the same.
 */
public class Submit {
    static final String HEADER_TYPE = "application/vnd.kho.report-header.v1+protobuf";

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 12) {
            System.err.println("expected 12 arguments, found " + arguments.length);
            System.exit(2);
        }
        try {
            submit(arguments);
        } catch (Exception error) {
            System.err.println("REJECTED: " + error);
            System.exit(1);
        }
    }

    static void submit(String[] given) throws Exception {
        String url = given[0], vkey = given[6], unit = given[7], regime = given[8], period = given[9], series = given[10];
        HttpClient client = client(given[1], given[2], given[3]);
        byte[] payload = Files.readAllBytes(Path.of(given[11]));

        // 1. The node prepares the header; nothing is stored.
        String report = "{\"unit\":" + quoted(unit) + ",\"regime\":" + quoted(regime) + ",\"period\":" + quoted(period)
                + ",\"series\":" + quoted(series) + ",\"text\":" + quoted(new String(payload, StandardCharsets.UTF_8)) + "}";
        String prepared = post(client, url + "/v1/headers", report);
        byte[] header = bytes(prepared, "header");
        String id = text(prepared, "record_id"), submittedAt = text(prepared, "submitted_at");

        // 2. It must say what the report says, and nothing else: the header is put together here as well.
        require(Arrays.equals(bytes(prepared, "payload"), payload), "the payload is another");
        Duration off = Duration.between(OffsetDateTime.parse(submittedAt), OffsetDateTime.now()).abs();
        require(off.compareTo(Duration.ofMinutes(5)) < 0, "the header's time is not now");
        byte[] salt = bytes(prepared, "salt");
        byte[] own = join(integer(1, 1), field(2, uuid(id)), field(3, utf8(unit)), field(4, utf8(regime)), field(5, utf8(period)),
                field(6, utf8(series)), field(9, utf8(submittedAt)), field(10, utf8("text/plain; charset=utf-8")),
                integer(11, payload.length), field(12, salt), field(13, sha256(salt, payload)));
        require(Arrays.equals(own, header), "the header that the node prepared is not that of the report: nothing was signed");

        // 3. The unit signs DSSE's pre-authentication encoding of the header.
        byte[] message = join(utf8("DSSEv1 " + HEADER_TYPE.length() + " " + HEADER_TYPE + " " + header.length + " "), header);
        List<Certificate> chain = certificates(given[4]);
        PrivateKey key = key(given[5], chain.get(0));
        String kind = chain.get(0).getPublicKey().getAlgorithm();
        int number = kind.equals("RSA") ? 3 : kind.equals("EC") ? 2 : 1;
        String algorithm = List.of("ed25519", "ecdsa-p256-sha256", "rsa-pkcs1-sha256").get(number - 1);
        Signature signer = Signature.getInstance(List.of("Ed25519", "SHA256withECDSA", "SHA256withRSA").get(number - 1));
        signer.initSign(key);
        signer.update(message);
        byte[] signature = signer.sign();

        // 4. The signed record.
        byte[] block = join(integer(1, 1), integer(2, number), field(3, signature));
        StringBuilder ders = new StringBuilder();
        for (Certificate certificate : chain) {
            block = join(block, field(4, sha256(certificate.getEncoded())));
            ders.append(ders.isEmpty() ? "" : ",").append(quoted(base64(certificate.getEncoded())));
        }
        String record = "{\"header\":" + quoted(base64(header)) + ",\"payload\":" + quoted(base64(payload)) + ",\"algorithm\":"
                + quoted(algorithm) + ",\"signature\":" + quoted(base64(signature)) + ",\"certificates\":[" + ders + "]}";
        String answer = post(client, url + "/v1/records", record);
        require(text(answer, "record_id").equals(id), "the answer is of another record");

        // 5. Its receipt, as a C2SP tlog-proof, checked without the node.
        HttpRequest ask = HttpRequest.newBuilder(URI.create(url + "/v1/records/" + id + "/receipt")).header("Accept", "text/plain").build();
        String acceptedAt = verify(send(client, ask), vkey, header, block);
        System.out.println("accepted and verified: " + id + " at " + acceptedAt + " over " + client.version());
    }

    // --- the receipt: docs/formats/receipt.md, checkpoint.md, leaf.md

    static String verify(String proof, String vkey, byte[] header, byte[] block) throws Exception {
        int end = proof.indexOf("\n\n");
        String[] lines = proof.substring(0, end).split("\n");
        require(lines[0].equals("c2sp.org/tlog-proof@v1"), "this is no receipt");
        byte[] leaf = Base64.getDecoder().decode(lines[1].substring("extra ".length()));
        long index = Long.parseLong(lines[2].substring("index ".length()));
        String note = proof.substring(end + 2);
        int signatures = note.indexOf("\n\n");
        String text = note.substring(0, signatures + 1);
        String[] checkpoint = text.split("\n");
        requireSigned(text, note.substring(signatures + 2), checkpoint[0], vkey);

        // RFC 9162, 2.1.3.2
        long node = index, last = Long.parseLong(checkpoint[1]) - 1;
        require(index <= last, "the leaf lies behind the checkpoint");
        byte[] found = sha256(new byte[] {0}, leaf);
        for (String line : Arrays.copyOfRange(lines, 3, lines.length)) {
            byte[] sibling = Base64.getDecoder().decode(line);
            require(last != 0, "the inclusion proof is too long");
            if ((node & 1) == 1 || node == last) {
                found = sha256(new byte[] {1}, sibling, found);
                while ((node & 1) == 0 && node != 0) {
                    node >>= 1;
                    last >>= 1;
                }
            } else {
                found = sha256(new byte[] {1}, found, sibling);
            }
            node >>= 1;
            last >>= 1;
        }
        require(last == 0, "the inclusion proof is too short");
        require(Arrays.equals(found, Base64.getDecoder().decode(checkpoint[2])), "the proof does not lead to the signed root");
        require(leaf.length == 202 && leaf[0] == 1 && leaf[1] == 1, "the leaf is no record's");
        require(Arrays.equals(Arrays.copyOfRange(leaf, 42, 74), sha256(header)), "the leaf is of another header");
        require(Arrays.equals(Arrays.copyOfRange(leaf, 74, 106), sha256(block)), "the leaf is of another signature");
        long ms = new BigInteger(1, Arrays.copyOfRange(leaf, 18, 26)).longValueExact();
        return java.time.Instant.ofEpochMilli(ms).atOffset(java.time.ZoneOffset.ofHours(7)).toString();
    }

    static void requireSigned(String text, String signatures, String origin, String vkey) throws Exception {
        Matcher parts = Pattern.compile("(.+?)\\+([0-9a-f]{8})\\+(.+)").matcher(vkey);
        require(parts.matches() && parts.group(1).equals(origin), "the checkpoint is of another log");
        byte[] key = Base64.getDecoder().decode(parts.group(3));
        byte[] spki = join(new BigInteger("302a300506032b6570032100", 16).toByteArray(), Arrays.copyOfRange(key, 1, 33));
        for (String line : signatures.split("\n")) {
            String[] words = line.split(" ");
            byte[] blob = Base64.getDecoder().decode(words[2]);
            String id = String.format("%02x%02x%02x%02x", blob[0], blob[1], blob[2], blob[3]);
            if (words[1].equals(origin) && id.equals(parts.group(2))) {
                Signature verifier = Signature.getInstance("Ed25519");
                verifier.initVerify(KeyFactory.getInstance("Ed25519").generatePublic(new X509EncodedKeySpec(spki)));
                verifier.update(utf8(text));
                require(verifier.verify(Arrays.copyOfRange(blob, 4, blob.length)), "the checkpoint's signature is wrong");
                return;
            }
        }
        throw new IllegalStateException("the log's key has not signed the checkpoint");
    }

    // --- the connection

    static HttpClient client(String trust, String certificate, String key) throws Exception {
        char[] none = new char[0];
        KeyStore own = KeyStore.getInstance("PKCS12"), trusted = KeyStore.getInstance("PKCS12");
        own.load(null, null);
        trusted.load(null, null);
        List<Certificate> chain = certificates(certificate);
        own.setKeyEntry("own", key(key, chain.get(0)), none, chain.toArray(new Certificate[0]));
        for (Certificate one : certificates(trust)) {
            trusted.setCertificateEntry("trusted" + trusted.size(), one);
        }
        KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keys.init(own, none);
        TrustManagerFactory roots = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        roots.init(trusted);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), roots.getTrustManagers(), null);
        return HttpClient.newBuilder().sslContext(context).connectTimeout(Duration.ofSeconds(10)).build();
    }

    static String post(HttpClient client, String url, String json) throws Exception {
        return send(client, HttpRequest.newBuilder(URI.create(url)).header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofByteArray(utf8(json))).build());
    }

    static String send(HttpClient client, HttpRequest request) throws Exception {
        HttpResponse<String> response = client.send(request, HttpResponse.BodyHandlers.ofString(StandardCharsets.UTF_8));
        // docs/errors: `retry` says whether the same request may succeed later, `unknown` that it may have been done
        require(response.statusCode() < 400, response.statusCode() + " " + response.body());
        return response.body();
    }

    static List<Certificate> certificates(String file) throws Exception {
        CertificateFactory factory = CertificateFactory.getInstance("X.509");
        return List.copyOf(factory.generateCertificates(new ByteArrayInputStream(Files.readAllBytes(Path.of(file)))));
    }

    static PrivateKey key(String file, Certificate certificate) throws Exception {
        String pem = Files.readAllLines(Path.of(file)).stream().filter(line -> !line.startsWith("-----")).collect(Collectors.joining());
        KeyFactory factory = KeyFactory.getInstance(certificate.getPublicKey().getAlgorithm());
        return factory.generatePrivate(new PKCS8EncodedKeySpec(Base64.getDecoder().decode(pem)));
    }

    // --- protobuf, as far as headers and signature blocks need it: docs/formats/header.md, signature.md

    static byte[] varint(long number) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        for (; number > 127; number >>>= 7) {
            out.write((int) (number & 127 | 128));
        }
        out.write((int) number);
        return out.toByteArray();
    }

    static byte[] field(int number, byte[] data) {
        return data.length == 0 ? data : join(varint(number << 3 | 2), varint(data.length), data);
    }

    static byte[] integer(int number, long value) {
        return value == 0 ? new byte[0] : join(varint(number << 3), varint(value));
    }

    // --- bytes and texts

    static byte[] uuid(String id) {
        byte[] out = new byte[16];
        String hex = id.replace("-", "");
        for (int n = 0; n < 16; n++) {
            out[n] = (byte) Integer.parseInt(hex.substring(2 * n, 2 * n + 2), 16);
        }
        return out;
    }

    static byte[] join(byte[]... parts) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        for (byte[] part : parts) {
            out.writeBytes(part);
        }
        return out.toByteArray();
    }

    static byte[] sha256(byte[]... parts) throws Exception {
        return MessageDigest.getInstance("SHA-256").digest(join(parts));
    }

    static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static String base64(byte[] data) {
        return Base64.getEncoder().encodeToString(data);
    }

    /** A value that has no escapes: ids, moments, base64. Use a JSON library for more. */
    static String text(String json, String name) {
        Matcher matcher = Pattern.compile("\"" + name + "\":\"([^\"\\\\]*)\"").matcher(json);
        require(matcher.find(), "the answer has no " + name);
        return matcher.group(1);
    }

    static byte[] bytes(String json, String name) {
        return Base64.getDecoder().decode(text(json, name));
    }

    static String quoted(String text) {
        StringBuilder out = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') {
                out.append('\\').append(c);
            } else if (c < ' ') {
                out.append(String.format("\\u%04x", (int) c));
            } else {
                out.append(c);
            }
        }
        return out.append('"').toString();
    }

    static void require(boolean holds, String otherwise) {
        if (!holds) {
            throw new IllegalStateException(otherwise);
        }
    }
}
