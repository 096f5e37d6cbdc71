"""A small Flask site: a form, a session in a signed cookie, uploads, streams and files."""
import hashlib
import io
import os

from flask import Flask, Response, jsonify, request, send_file, session

app = Flask(__name__)
app.secret_key = "only for tests"


@app.get("/")
def index():
    return "hello from flask"


@app.get("/about/<name>")
def about(name):
    return jsonify(
        name=name, query=request.args.to_dict(), url=request.url, address=request.remote_addr
    )


@app.get("/visits")
def visits():
    session["visits"] = session.get("visits", 0) + 1
    return str(session["visits"])


@app.post("/upload")
def upload():
    sent = request.files["file"]
    digest = hashlib.sha256()
    for block in iter(lambda: sent.stream.read(65536), b""):
        digest.update(block)
    return jsonify(name=sent.filename, sha256=digest.hexdigest(), note=request.form["note"])


@app.post("/raw")
def raw():
    digest, length = hashlib.sha256(), 0
    for block in iter(lambda: request.stream.read(65536), b""):
        digest.update(block)
        length += len(block)
    return jsonify(length=length, sha256=digest.hexdigest())


@app.get("/stream")
def stream():
    return Response((b"%06d\n" % number for number in range(20000)), mimetype="text/plain")


@app.get("/file")
def file():
    return send_file(os.environ["BIG_FILE"], mimetype="application/octet-stream")


@app.get("/memory")
def memory():
    return send_file(io.BytesIO(b"m" * 100000), mimetype="application/octet-stream")


@app.get("/missing-page")
def missing():
    return "not here", 404


@app.get("/boom")
def boom():
    raise RuntimeError("boom of flask")
