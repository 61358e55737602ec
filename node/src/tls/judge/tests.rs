use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kho_proto::certificate;
use kho_proto::error::Code;
use kho_proto::id::NodeId;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationList, CertificateRevocationListParams, CertifiedIssuer,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::tests::{Authority, CLUSTER, dial};
use super::super::{ClientTls, Error, PeerDial, Plane, Secure, Secured, ServerTls};
use super::*;
use crate::seams::{Accept, BoxIo, Dial, Seams};

const SOON: Duration = Duration::from_secs(5);

/// Made at the beginning of this year.
fn list(issuer: &Issuer<'_, KeyPair>, made: i32, serials: &[u64]) -> CertificateRevocationList {
    let revoked = serials.iter().map(|serial| RevokedCertParams {
        serial_number: (*serial).into(),
        revocation_time: date_time_ymd(2020, 3, 1),
        reason_code: None,
        invalidity_date: None,
    });
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(made, 1, 1),
        next_update: date_time_ymd(made + 1, 1, 1),
        crl_number: SerialNumber::from(made as u64),
        issuing_distribution_point: None,
        revoked_certs: revoked.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    list.signed_by(issuer).unwrap()
}

fn numbered(serial: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.serial_number = Some(serial.into());
    params
}

fn leaf(issuer: &Issuer<'_, KeyPair>, serial: u64) -> CertificateDer<'static> {
    numbered(serial).signed_by(&KeyPair::generate().unwrap(), issuer).unwrap().der().clone()
}

fn below(authority: &Authority, serial: u64) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = numbered(serial);
    params.distinguished_name.push(rcgen::DnType::CommonName, "middle");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &authority.issuer).unwrap()
}

/// A listener's lists, in a file, and its roots.
struct Scene {
    roots: Vec<CertificateDer<'static>>,
    files: TlsFiles,
}

impl Scene {
    fn new(authorities: &[&Authority]) -> Self {
        let files = authorities[0].node(1);
        let crl = authorities[0].path("lists");
        let roots = authorities.iter().map(|authority| authority.issuer.der().clone()).collect();
        Self { roots, files: TlsFiles { crl: Some(crl), ..files } }
    }

    fn crl(&self) -> &Path {
        self.files.crl.as_ref().unwrap()
    }

    fn read(&self, lists: impl AsRef<[u8]>) -> Result<Arc<Judge>, Error> {
        std::fs::write(self.crl(), lists).unwrap();
        Judge::read(&self.files, &self.roots).map(Option::unwrap)
    }

    fn refused(&self, lists: impl AsRef<[u8]>) -> Option<Code> {
        let error = self.read(lists).err()?;
        assert_eq!(error.code(), Code::TlsFileInvalid);
        assert!(error.to_string().contains("/lists: "), "{error}");
        match error {
            Error::List { source, .. } => Some(source.code()),
            _ => Some(Code::TlsFileInvalid),
        }
    }
}

fn takes_back(judge: &Judge, chain: &[&CertificateDer<'static>]) -> bool {
    let others: Vec<_> = chain[1..].iter().map(|one| (*one).clone()).collect();
    judge.lists.take_back(&judge.path(chain[0], &others, UnixTime::now()).unwrap())
}

#[test]
fn lists_come_in_pem_or_der_and_only_from_who_is_trusted() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let scene = Scene::new(&[&authority]);
    let (bad, good) = (leaf(&authority.issuer, 7), leaf(&authority.issuer, 8));
    let (one, other) = (list(&authority.issuer, 2020, &[7]), list(&authority.issuer, 2021, &[9]));
    let pem = one.pem().unwrap();
    for text in [one.der().to_vec(), pem.clone().into_bytes(), (other.pem().unwrap() + &pem).into_bytes()] {
        let judge = scene.read(text).unwrap();
        assert!(takes_back(&judge, &[&bad]) && !takes_back(&judge, &[&good]));
    }
    let foreign = list(&stranger.issuer, 2020, &[7]).pem().unwrap();
    assert_eq!(scene.refused(&foreign), Some(Code::CrlUntrusted), "the name is the same, the key is not");
    assert_eq!(scene.refused(pem.clone() + &foreign), Some(Code::CrlUntrusted), "one of two");
    assert_eq!(scene.refused(&one.der()[..one.der().len() - 1]), Some(Code::CrlMalformed));
    let mut flipped = one.der().to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    assert_eq!(scene.refused(flipped), Some(Code::CrlUntrusted));
    for broken in [&pem[..pem.len() / 2], "", "no list", &authority.issuer.pem()] {
        assert_eq!(scene.refused(broken), Some(Code::TlsFileInvalid), "{broken}");
    }
}

#[test]
fn authorities_below_the_root_have_lists_and_are_listed() {
    let authority = Authority::new();
    let scene = Scene::new(&[&authority]);
    let middle = below(&authority, 3);
    let (bad, good) = (leaf(&middle, 7), leaf(&middle, 8));
    // the same number, and another who gave it
    let direct = leaf(&authority.issuer, 7);
    let of_middle = list(&middle, 2020, &[7]).pem().unwrap();
    assert_eq!(scene.refused(&of_middle), Some(Code::CrlUntrusted), "nobody says who signed it");
    let judge = scene.read(of_middle + &middle.pem()).unwrap();
    assert!(takes_back(&judge, &[&bad, middle.der()]));
    assert!(!takes_back(&judge, &[&good, middle.der()]) && !takes_back(&judge, &[&direct]));

    let judge = scene.read(list(&authority.issuer, 2020, &[3]).pem().unwrap()).unwrap();
    assert!(takes_back(&judge, &[&good, middle.der()]), "what its authority was, is taken back with it");
    assert!(!takes_back(&judge, &[&direct]));
    let pathless = judge.path(&good, &[], UnixTime::now());
    assert!(matches!(pathless, Err(certificate::Error::Untrusted { .. })), "{pathless:?}");
}

/// Decision 21: an authority is its name and key. One that changes its key takes nothing back that the other gave.
#[test]
fn an_authority_that_changed_its_key_has_two_lists() {
    let (old, new) = (Authority::new(), Authority::new());
    let scene = Scene::new(&[&old, &new]);
    let (by_old, by_new) = (leaf(&old.issuer, 7), leaf(&new.issuer, 7));
    let judge = scene.read(list(&new.issuer, 2020, &[7]).pem().unwrap()).unwrap();
    assert!(takes_back(&judge, &[&by_new]) && !takes_back(&judge, &[&by_old]));
    let both = list(&new.issuer, 2020, &[8]).pem().unwrap() + &list(&old.issuer, 2020, &[7]).pem().unwrap();
    let judge = scene.read(both).unwrap();
    assert!(takes_back(&judge, &[&by_old]) && !takes_back(&judge, &[&by_new]));
}

fn pem(issuer: &Issuer<'_, KeyPair>, made: i32) -> String {
    list(issuer, made, &[7]).pem().unwrap()
}

/// A timer that joins the lists of several authorities, and could not fetch one, must let nobody in.
#[test]
fn who_has_no_list_any_more_goes_back_to_none() {
    let (one, other) = (Authority::new(), Authority::new());
    let mut scene = Scene::new(&[&one, &other]);
    let middle = below(&one, 3);
    let (of_one, of_other) = (pem(&one.issuer, 2021), pem(&other.issuer, 2021));
    let of_middle = pem(&middle, 2021) + &middle.pem();
    let all = scene.read(of_one.clone() + &of_other + &of_middle).unwrap();
    let register = Register::of(Plane::Client, Some(&all));
    let check = |scene: &Scene, lists: String| register.check(Some(&scene.read(lists).unwrap()), None);
    for lists in [of_one.clone() + &of_other, of_one.clone() + &of_middle, of_other.clone() + &of_middle] {
        let error = check(&scene, lists).unwrap_err().to_string();
        assert!(error.contains("expected 1 or more, found 0"), "{error}");
    }
    check(&scene, of_middle.clone() + &of_other + &of_one).unwrap();
    // a root that goes takes its lists along, and those of the authorities below it
    scene.roots.retain(|root| root != one.issuer.der());
    let error = scene.read(of_other.clone() + &of_one).unwrap_err().to_string();
    assert!(error.contains("its lists go out of this file, in the same reload"), "{error}");
    check(&scene, of_other).unwrap();
}

#[test]
fn each_list_of_an_authority_stays_or_is_followed_by_a_later_one() {
    let authority = Authority::new();
    let scene = Scene::new(&[&authority]);
    let of = |years: &[i32]| scene.read(years.iter().map(|year| pem(&authority.issuer, *year)).collect::<String>());
    let register = Register::of(Plane::Client, Some(&of(&[2020, 2021]).unwrap()));
    let check = |years: &[i32]| register.check(Some(&of(years).unwrap()), None).map_err(|error| error.to_string());
    for years in [&[2021, 2020][..], &[2022, 2020], &[2021, 2022], &[2021, 2019, 2020]] {
        assert_eq!(check(years), Ok(()), "{years:?}");
    }
    let fewer = check(&[2022]).unwrap_err();
    assert!(fewer.contains("expected 2 or more, found 1"), "{fewer}");
    let older = check(&[2022, 2019]).unwrap_err();
    assert!(older.contains("expected one made at 2020-01-01T07:00:00.000+07:00 or later"), "{older}");
}

/// Greets whom it lets in, for as long as they may stay.
async fn listen(tls: Arc<ServerTls>) -> String {
    let mut accept: Box<dyn Accept> = Seams::system().net.bind("127.0.0.1:0").await.unwrap();
    let address = accept.local_address();
    tokio::spawn(async move {
        loop {
            let (io, _) = accept.accept().await.unwrap();
            let tls = tls.clone();
            tokio::spawn(async move {
                let Ok(Secured { mut io, standing, .. }) = tls.secure(io).await else { return };
                io.write_u8(1).await.unwrap();
                io.flush().await.unwrap();
                standing.lost().await;
            });
        }
    });
    address
}

/// Is greeted, and hears nothing more.
async fn greeted(io: &mut BoxIo) {
    assert_eq!(tokio::time::timeout(SOON, io.read_u8()).await.unwrap().unwrap(), 1);
    let more = tokio::time::timeout(Duration::from_millis(100), io.read_u8()).await;
    assert!(more.is_err(), "it stays: {more:?}");
}

async fn told(io: &mut BoxIo) -> String {
    tokio::time::timeout(SOON, io.read_u8()).await.expect("an end").unwrap_err().to_string()
}

/// Its reload finds lists that are older than those in use, or made in the future, and none, and stays with what it had.
fn goes_not_back(scene: &Scene, reload: &dyn Fn() -> Result<(), Error>, authority: &Authority) {
    std::fs::write(scene.crl(), list(&authority.issuer, 2019, &[]).der()).unwrap();
    let error = reload().unwrap_err().to_string();
    assert!(error.contains("expected one made at 2021-01-01T07:00:00.000+07:00 or later"), "{error}");
    std::fs::write(scene.crl(), list(&authority.issuer, 2048, &[]).der()).unwrap();
    let error = reload().unwrap_err().to_string();
    assert!(error.ends_with("found one of 2048-01-01T07:00:00.000+07:00; later ones would count as older"), "{error}");
    std::fs::write(scene.crl(), "no list").unwrap();
    reload().unwrap_err();
}

#[tokio::test]
async fn a_node_that_is_listed_is_let_in_no_more_and_cut_off() {
    let authority = Authority::new();
    let scene = Scene::new(&[&authority]);
    std::fs::write(scene.crl(), list(&authority.issuer, 2020, &[]).der()).unwrap();
    let server = Arc::new(ServerTls::load(Plane::Peer, &scene.files).unwrap());
    let address = listen(server.clone()).await;
    let (bad, good) = (dial(&authority.node(2)), dial(&authority.node(3)));
    let mut of_bad = bad.dial(NodeId(1), &address).await.unwrap();
    let mut of_good = good.dial(NodeId(1), &address).await.unwrap();
    greeted(&mut of_bad).await;
    std::fs::write(scene.crl(), list(&authority.issuer, 2021, &[2]).pem().unwrap()).unwrap();
    server.reload().unwrap();
    told(&mut of_bad).await;
    for _ in 0..2 {
        let mut again = bad.dial(NodeId(1), &address).await.unwrap();
        let told = told(&mut again).await;
        assert!(told.contains("CertificateRevoked"), "{told}");
        goes_not_back(&scene, &|| server.reload(), &authority);
    }
    greeted(&mut of_good).await;
    greeted(&mut good.dial(NodeId(1), &address).await.unwrap()).await;
}

#[tokio::test]
async fn a_node_that_is_listed_is_dialled_no_more_and_cut_off() {
    let authority = Authority::new();
    let scene = Scene::new(&[&authority]);
    std::fs::write(scene.crl(), list(&authority.issuer, 2020, &[]).der()).unwrap();
    let address = listen(Arc::new(ServerTls::load(Plane::Peer, &authority.node(2)).unwrap())).await;
    let tls = Arc::new(ClientTls::load(&scene.files).unwrap());
    let dial = PeerDial::new(tls.clone(), Seams::system().net, CLUSTER);
    let mut io = dial.dial(NodeId(2), &address).await.unwrap();
    greeted(&mut io).await;
    std::fs::write(scene.crl(), list(&authority.issuer, 2021, &[2]).pem().unwrap()).unwrap();
    tls.reload().unwrap();
    let expected = "the other side's certificate was revoked";
    assert_eq!(told(&mut io).await, expected);
    assert_eq!(io.write_u8(1).await.unwrap_err().to_string(), expected);
    for _ in 0..2 {
        assert_eq!(dial.dial(NodeId(2), &address).await.err().unwrap().to_string(), expected);
        goes_not_back(&scene, &|| tls.reload(), &authority);
    }
}
