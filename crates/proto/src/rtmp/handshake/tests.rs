use bytes::BytesMut;
use proptest::prelude::*;

use super::digest::{Scheme, Side};
use super::*;

/// Both sides joined, `piece` bytes at a time, with `behind` sent right behind the client's last
/// part. Gives the forms and what each side found behind.
fn join(form: Form, piece: usize, behind: &[u8]) -> (Form, Option<Form>, Vec<u8>, Vec<u8>) {
    let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
    let mut client = Client::new(form, 1, &mut to_server);
    let mut server = Server::new(2);
    let (mut at_client, mut at_server) = (None, None);
    while !to_server.is_empty() || !to_client.is_empty() {
        let bytes = to_server.split_to(piece.min(to_server.len()));
        match &mut at_server {
            None => at_server = server.handle(&bytes, &mut to_client).unwrap().map(Vec::from),
            Some(rest) => rest.extend(bytes),
        }
        let bytes = to_client.split_to(piece.min(to_client.len()));
        if at_client.is_none() {
            at_client = client.handle(&bytes, &mut to_server).unwrap().map(Vec::from);
            if at_client.is_some() {
                to_server.extend_from_slice(behind);
            }
        }
    }
    (client.form(), server.form(), at_client.unwrap(), at_server.unwrap())
}

#[test]
fn both_forms_come_to_their_end_in_pieces_of_any_size() {
    for piece in [1, 700, 1536, 1537, 10_000] {
        for form in [Form::Plain, Form::Digest] {
            let joined = join(form, piece, b"connect");
            assert_eq!(joined, (form, Some(form), vec![], b"connect".to_vec()), "{piece}");
        }
    }
}

#[test]
fn the_servers_digest_answers_the_clients_in_the_same_scheme() {
    for scheme in [Scheme::Front, Scheme::Back] {
        let mut first = random_part(&mut Random::new(7));
        stamp(&mut first, [128, 0, 7, 2]);
        let theirs = digest::imprint(&mut first, scheme, Side::Client);
        let (mut server, mut out) = (Server::new(1), BytesMut::new());
        server.handle(&[&[VERSION], &first[..]].concat(), &mut out).unwrap();
        let (own, answer) = (out[1..].first_chunk().unwrap(), &out[1 + PART_BYTES..]);
        assert_eq!(digest::find(own, Side::Server).unwrap().0, scheme);
        let mut expected: Part = answer.try_into().unwrap();
        expected[PART_BYTES - 32..].fill(0);
        digest::answer(&mut expected, &theirs, Side::Server);
        assert_eq!(answer, expected);
    }
}

#[test]
fn a_version_without_a_digest_is_the_plain_form() {
    // Old librtmp and several cameras fill the field with a version, a time or noise.
    let mut first = random_part(&mut Random::new(7));
    stamp(&mut first, [9, 0, 124, 2]);
    let (mut server, mut out) = (Server::new(1), BytesMut::new());
    server.handle(&[&[VERSION], &first[..]].concat(), &mut out).unwrap();
    assert_eq!(server.form(), Some(Form::Plain));
    assert_eq!(out[1 + 4..1 + 8], [0; 4], "the second field of S1 says that it is plain");
    assert_eq!(out[1 + PART_BYTES..], first[..], "S2 is C1");
}

#[test]
fn the_last_part_of_the_client_is_not_judged() {
    let mut out = BytesMut::new();
    let mut server = Server::new(1);
    server.handle(&[&[VERSION], &[0; PART_BYTES][..]].concat(), &mut out).unwrap();
    let rest = server.handle(&[&[0xaa; PART_BYTES][..], b"next"].concat(), &mut out).unwrap();
    assert_eq!(rest.as_deref(), Some(&b"next"[..]));
}

#[test]
fn a_plain_answer_to_a_client_of_the_digest_form_is_echoed() {
    let mut out = BytesMut::new();
    let mut client = Client::new(Form::Digest, 1, &mut out);
    let own = random_part(&mut Random::new(3));
    let mut answer = BytesMut::new();
    client.handle(&[&[VERSION], &own[..]].concat(), &mut answer).unwrap();
    assert_eq!((client.form(), &answer[..]), (Form::Plain, &own[..]));
    // S2 is not what was sent, which is not judged either.
    assert!(client.handle(&[7; PART_BYTES], &mut answer).unwrap().is_some());
}

#[test]
fn other_protocols_on_the_port_are_told_by_name() {
    let refused = |bytes: &[u8]| Server::new(1).handle(bytes, &mut BytesMut::new()).unwrap_err();
    assert_eq!(refused(b"GET / HTTP/1.1\r\n\r\n"), Error::Http);
    assert_eq!(refused(&[0x16, 3, 1]), Error::Tls);
    assert_eq!(
        refused(&[6]).to_string(),
        "RTMP version 3 expected, 6 came: encrypted RTMP (RTMPE), which is not spoken here"
    );
    assert_eq!(refused(&[0]).to_string(), "RTMP version 3 expected, 0 came");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]
    #[test]
    fn any_bytes_are_a_handshake_or_an_error(first in any::<u8>(), seed in any::<u64>()) {
        let part = random_part(&mut Random::new(seed));
        let bytes = [&[first], &part[..], &part, &part].concat();
        let mut out = BytesMut::new();
        let _ = Server::new(seed).handle(&bytes, &mut out);
        let _ = Client::new(Form::Digest, seed, &mut out).handle(&bytes, &mut out);
    }
}
