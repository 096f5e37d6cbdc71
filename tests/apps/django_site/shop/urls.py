"""The pages of the test site."""
import hashlib
import os

from django.contrib import admin
from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt


def index(request):
    return HttpResponse("hello from django", content_type="text/plain")


def about(request, name):
    return JsonResponse(
        {
            "name": name,
            "query": request.GET.dict(),
            "url": request.build_absolute_uri(),
            "address": request.META["REMOTE_ADDR"],
        }
    )


def visits(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return HttpResponse(str(request.session["visits"]))


@csrf_exempt
def upload(request):
    sent = request.FILES["file"]
    digest = hashlib.sha256()
    for block in sent.chunks():
        digest.update(block)
    return JsonResponse(
        {"name": sent.name, "sha256": digest.hexdigest(), "note": request.POST["note"]}
    )


@csrf_exempt
def raw(request):
    digest, length = hashlib.sha256(), 0
    for block in iter(lambda: request.read(65536), b""):
        digest.update(block)
        length += len(block)
    return JsonResponse({"length": length, "sha256": digest.hexdigest()})


def stream(request):
    return StreamingHttpResponse(
        (b"%06d\n" % number for number in range(20000)), content_type="text/plain"
    )


def file(request):
    return FileResponse(
        open(os.environ["BIG_FILE"], "rb"), content_type="application/octet-stream"
    )


def missing(request):
    return HttpResponse("not here", status=404)


def boom(request):
    raise RuntimeError("boom of django")


urlpatterns = [
    path("", index),
    path("about/<str:name>", about),
    path("visits", visits),
    path("upload", upload),
    path("raw", raw),
    path("stream", stream),
    path("file", file),
    path("missing-page", missing),
    path("boom", boom),
    path("admin/", admin.site.urls),
]
