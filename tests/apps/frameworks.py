"""One small site in each of six frameworks, between two judges: `wsgiref.validate` sees what the server
gives to the framework, and what the framework gives back. FRAMEWORK names which."""
import os
import sys
import tempfile
from wsgiref.validate import validator

FILE = os.path.join(tempfile.gettempdir(), "frameworks.%d.bin" % os.getpid())
with open(FILE, "wb") as big:
    big.write(bytes(range(256)) * 1024)


def chunks():
    for number in range(3):
        yield b"part %d\n" % number


def werkzeug():
    from werkzeug.exceptions import NotFound
    from werkzeug.utils import redirect, send_file
    from werkzeug.wrappers import Request, Response

    def site(environ, start_response):
        request = Request(environ)
        path = request.path
        if path == "/":
            response = Response("hello")
        elif path == "/form":
            upload = request.files.get("file")
            size = len(upload.stream.read()) if upload else 0
            response = Response("%s %d" % (request.form["name"], size))
        elif path == "/stream":
            response = Response(chunks(), mimetype="text/plain")
        elif path == "/file":
            response = send_file(FILE, environ)
        elif path == "/redirect":
            response = redirect("/elsewhere")
        elif path == "/cookie":
            response = Response(request.cookies.get("a", "none"))
            response.set_cookie("a", "1")
            response.set_cookie("b", "2")
        elif path == "/boom":
            raise ValueError("boom")
        else:
            response = NotFound().get_response(environ)
        return response(environ, start_response)

    return site


def flask():
    from flask import Flask, Response, make_response, redirect, request, send_file

    site = Flask("site")

    @site.get("/")
    def index():
        return "hello"

    @site.post("/form")
    def form():
        upload = request.files.get("file")
        return "%s %d" % (request.form["name"], len(upload.read()) if upload else 0)

    site.add_url_rule("/stream", view_func=lambda: Response(chunks(), mimetype="text/plain"), endpoint="s")
    site.add_url_rule("/file", view_func=lambda: send_file(FILE), endpoint="f")
    site.add_url_rule("/redirect", view_func=lambda: redirect("/elsewhere"), endpoint="r")

    @site.get("/cookie")
    def cookie():
        response = make_response(request.cookies.get("a", "none"))
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return response

    @site.get("/boom")
    def boom():
        raise ValueError("boom")

    return site


def django():
    from django.conf import settings

    settings.configure(
        DEBUG=False, ALLOWED_HOSTS=["*"], SECRET_KEY="no secret", ROOT_URLCONF=__name__, MIDDLEWARE=[],
        DATABASES={}, LOGGING_CONFIG=None,
    )
    from django.core.wsgi import get_wsgi_application
    from django.http import FileResponse, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
    from django.urls import path

    def form(request):
        upload = request.FILES.get("file")
        return HttpResponse("%s %d" % (request.POST["name"], upload.size if upload else 0))

    def cookie(request):
        response = HttpResponse(request.COOKIES.get("a", "none"))
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return response

    def boom(request):
        raise ValueError("boom")

    module = sys.modules[__name__]
    module.urlpatterns = [
        path("", lambda request: HttpResponse("hello")),
        path("form", form),
        path("stream", lambda request: StreamingHttpResponse(chunks(), content_type="text/plain")),
        path("file", lambda request: FileResponse(open(FILE, "rb"))),
        path("redirect", lambda request: HttpResponseRedirect("/elsewhere")),
        path("cookie", cookie),
        path("boom", boom),
    ]
    return get_wsgi_application()


def pyramid():
    from pyramid.config import Configurator
    from pyramid.httpexceptions import HTTPFound
    from pyramid.response import FileResponse, Response

    def form(request):
        upload = request.POST.get("file")
        size = len(upload.file.read()) if upload is not None else 0
        return Response("%s %d" % (request.POST["name"], size))

    def cookie(request):
        response = Response(request.cookies.get("a", "none"))
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return response

    def boom(request):
        raise ValueError("boom")

    views = {
        "/": lambda request: Response("hello"),
        "/form": form,
        "/stream": lambda request: Response(app_iter=chunks(), content_type="text/plain"),
        "/file": lambda request: FileResponse(FILE, request=request, content_type="application/octet-stream"),
        "/redirect": lambda request: HTTPFound("/elsewhere"),
        "/cookie": cookie,
        "/boom": boom,
    }
    config = Configurator()
    for place, view in views.items():
        config.add_route(place, place)
        config.add_view(view, route_name=place)
    return config.make_wsgi_app()


def bottle():
    from bottle import Bottle, redirect, request, response, static_file

    site = Bottle()

    @site.get("/")
    def index():
        return "hello"

    @site.post("/form")
    def form():
        upload = request.files.get("file")
        return "%s %d" % (request.forms["name"], len(upload.file.read()) if upload else 0)

    @site.get("/stream")
    def stream():
        response.content_type = "text/plain"
        return chunks()

    @site.get("/file")
    def file():
        return static_file(os.path.basename(FILE), root=os.path.dirname(FILE))

    @site.get("/redirect")
    def away():
        redirect("/elsewhere")

    @site.get("/cookie")
    def cookie():
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return request.get_cookie("a", "none")

    @site.get("/boom")
    def boom():
        raise ValueError("boom")

    return site


def falcon():
    import falcon

    def view(on_get=None, on_post=None, on_head=None):
        class View:
            pass

        for name, function in (("on_get", on_get), ("on_post", on_post), ("on_head", on_head)):
            if function:
                setattr(View, name, staticmethod(function))
        return View()

    def index(request, response):
        response.text = "hello"

    def form(request, response):
        if "multipart" in request.content_type:
            name, size = None, 0
            for part in request.get_media():
                if part.name == "name":
                    name = part.text
                else:
                    size = len(part.stream.read())
        else:
            name, size = request.get_media()["name"], 0
        response.text = "%s %d" % (name, size)

    def stream(request, response):
        response.content_type = "text/plain"
        response.stream = chunks()

    def file(request, response):
        response.content_type = "application/octet-stream"
        response.set_stream(open(FILE, "rb"), os.path.getsize(FILE))

    def away(request, response):
        raise falcon.HTTPFound("/elsewhere")

    def cookie(request, response):
        response.text = request.cookies.get("a", "none")
        response.set_cookie("a", "1", secure=False)
        response.set_cookie("b", "2", secure=False)

    def boom(request, response):
        raise ValueError("boom")

    site = falcon.App()
    for place, target in {
        "/": view(index, on_head=index), "/form": view(on_post=form), "/stream": view(stream), "/file": view(file),
        "/redirect": view(away), "/cookie": view(cookie), "/boom": view(boom),
    }.items():
        site.add_route(place, target)
    return site


class Lenient:
    """Frameworks call `read()`, which the judge's stream wants with a size."""

    def __init__(self, stream):
        self.stream = stream

    def read(self, size=-1):
        return self.stream.read(size)

    def readline(self, size=-1):
        return self.stream.readline(size)

    def readlines(self, hint=-1):
        return self.stream.readlines(hint)

    def __iter__(self):
        return iter(self.stream)


site = globals()[os.environ["FRAMEWORK"]]()


def judged(environ, start_response):
    environ["wsgi.input"] = Lenient(environ["wsgi.input"])
    return site(environ, start_response)


application = validator(judged)
