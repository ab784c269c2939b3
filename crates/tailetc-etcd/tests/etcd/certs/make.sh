#!/usr/bin/env bash
# Makes the certificates of the TLS test anew, with openssl. They protect nothing: the keys are
# here for everybody to read.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

key() {
    openssl ecparam -name prime256v1 -genkey -noout |
        openssl pkcs8 -topk8 -nocrypt -out "$1.key"
}

key ca
openssl req -x509 -new -key ca.key -sha256 -days 36500 -subj "/CN=tailetc test CA" -out ca.pem

key etcd
openssl req -new -key etcd.key -subj "/CN=tailetc test" |
    openssl x509 -req -CA ca.pem -CAkey ca.key -set_serial 1 -sha256 -days 36500 -out etcd.pem \
        -extfile <(printf '%s\n' 'subjectAltName=IP:127.0.0.1,DNS:etcd.test' \
            'basicConstraints=critical,CA:FALSE' 'extendedKeyUsage=serverAuth,clientAuth')
# Nobody needs to sign anything else with it.
rm ca.key
