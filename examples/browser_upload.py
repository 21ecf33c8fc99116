"""A page whose visitors upload straight into a bucket: a POST policy says what they may, a CORS rule lets the page see.

    python examples/browser_upload.py

Open the address that it prints and upload a file; the script looks at what arrived, and ends. A policy is signed, so
this needs a server with keys (POST3_ACCESS_KEY and POST3_SECRET_KEY for post3 serve) and the same in AWS_ACCESS_KEY_ID
and AWS_SECRET_ACCESS_KEY. POST3_ENDPOINT names the server (http://127.0.0.1:9000).
"""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

from post3 import Client

PAGE = Path(__file__).with_suffix(".html")
MIB = 2**20


def main() -> None:
    if "AWS_ACCESS_KEY_ID" not in os.environ:
        sys.exit("A policy is signed with a key: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.")
    bucket = f"example-{uuid4()}"
    with Client() as client, Site(("127.0.0.1", 0), Visit) as site:
        site.client, site.bucket = client, bucket
        client.create_bucket(bucket)
        try:
            allow(client, bucket, origin=f"http://127.0.0.1:{site.server_port}")
            print(f"Upload a file at http://127.0.0.1:{site.server_port}/", flush=True)
            site.serve_forever()
            look(client, bucket, site.uploaded)
        except KeyboardInterrupt:
            print("Nobody uploaded anything.")
        finally:
            client.delete_bucket(bucket, force=True)


def allow(client: Client, bucket: str, origin: str) -> None:
    """Let scripts of this origin post here, and read the ETag of the answer."""
    rules: Any = [{"AllowedOrigins": [origin], "AllowedMethods": ["POST"], "ExposeHeaders": ["ETag"]}]
    client.s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": rules})


def policy(client: Client, bucket: str) -> dict[str, Any]:
    """Where to post, and the fields that let anyone do so for ten minutes: below uploads/, at most 1 MiB."""
    fields = {"success_action_status": "201"}
    conditions = [["content-length-range", 1, MIB], fields]
    return client.s3.generate_presigned_post(
        bucket, "uploads/${filename}", Fields=fields, Conditions=conditions, ExpiresIn=600
    )


def look(client: Client, bucket: str, uploaded: dict[str, str]) -> None:
    info = client.head_object(bucket, uploaded["key"])
    print(f"{info.key} arrived: {info.size} bytes, ETag {info.etag}")
    assert info.etag == uploaded["etag"].strip('"'), f"the page saw {uploaded['etag']}"


class Site(ThreadingHTTPServer):
    """Serves the page, and policies to it."""

    client: Client
    bucket: str
    uploaded: dict[str, str]


class Visit(BaseHTTPRequestHandler):
    """One request of the page."""

    server: Site

    def do_GET(self) -> None:
        if self.path == "/policy":
            self.answer("application/json", json.dumps(policy(self.server.client, self.server.bucket)).encode())
        else:
            self.answer("text/html", PAGE.read_bytes())

    def do_POST(self) -> None:
        self.server.uploaded = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer("application/json", b"{}")
        self.server.shutdown()

    def answer(self, content_type: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""


if __name__ == "__main__":
    main()
