"""Settings of the test site: the admin, sessions in SQLite, all data in the test's folder."""
import os

DATA = os.environ["SITE_DATA"]
SECRET_KEY = "only for tests"
DEBUG = False
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.path.join(DATA, "site.sqlite3")}
}
STATIC_URL = "/static/"
STATIC_ROOT = os.path.join(DATA, "static")
DATA_UPLOAD_MAX_MEMORY_SIZE = None
FILE_UPLOAD_TEMP_DIR = DATA
USE_TZ = True
# Signing in is tested, its cost is not.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
