//! What to try next.

use std::net::SocketAddr;

/// Prints command lines that work as they are, in this order.
pub(crate) fn print(address: SocketAddr) {
    let services = format!("http://{address}/v1/services");
    println!(
        r#"
try, in another terminal:
  curl -i {services}/web -X PUT -H 'If-None-Match: *' -H 'content-type: application/json' -d '{{"version": "1.0"}}'
  curl -i {services}/web
  curl -i {services}/web -X PUT -H 'If-Match: *' -H 'content-type: application/json' -d '{{"version": "1.1", "tags": ["eu"]}}'
  curl -s '{services}?prefix=w&limit=10'
  curl -s '{services}?tag=eu&limit=10'
  curl -i -X DELETE {services}/web
  curl -s http://{address}/v1/replicas
  curl -s http://{address}/readyz
  curl -sN http://{address}/v1/changes
the last one goes on until Ctrl-C. Send the Tailetc-Token of an answer along, here or to another
replica, and you read what you have written. Ctrl-C stops the registry."#
    );
}
