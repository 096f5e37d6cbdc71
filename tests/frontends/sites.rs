//! The Flask and the Django site of `tests/apps`, run by ours behind a front end.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use super::support::{
    Address, Alone, Apache, Folder, Nginx, free_port, repository, skips_without, test_env,
    uwsgi_get,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Site {
    Flask,
    Django,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upstream {
    Unix,
    Tcp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Front {
    Nginx,
    Apache,
}

/// The bytes of `/file`.
pub(crate) const BIG_FILE: usize = 5_000_000;

/// A site that is served: first the front end goes, then the app, then the folder.
pub(crate) struct Served {
    front: Running,
    pub(crate) app: Alone,
}

enum Running {
    Nginx(Nginx),
    Apache(Apache),
}

impl Served {
    /// `None`: something is absent, and was named.
    pub(crate) fn start(site: Site, front: Front, upstream: Upstream) -> Option<Self> {
        let there = match front {
            Front::Nginx => Nginx::is_installed(),
            Front::Apache => Apache::is_installed(),
        };
        if skips_without("the virtualenv of the test sites", test_env().exists())
            || skips_without(&format!("{front:?} with its modules"), there)
        {
            return None;
        }
        let folder = Folder::new();
        let address = match upstream {
            Upstream::Unix => Address::Unix(folder.join("s")),
            Upstream::Tcp => Address::Tcp(own_address()),
        };
        prepare(site, &folder);
        let app = Alone::start_in(folder, &ini(site, &address));
        app.wait_for("the site's answer", |_| {
            uwsgi_get(address.clone(), "/")
                .ok()
                .filter(|reply| reply.status == 200)
        });
        let front = match front {
            Front::Nginx => Running::Nginx(Nginx::start(&app.folder, &uwsgi_pass(&address))),
            Front::Apache => Running::Apache(Apache::start(&app.folder, &proxy_pass(&address))),
        };
        Some(Self { front, app })
    }

    pub(crate) fn address(&self) -> Address {
        match &self.front {
            Running::Nginx(nginx) => nginx.address(),
            Running::Apache(apache) => apache.address(),
        }
    }

    pub(crate) fn report(&self) -> String {
        let front = match &self.front {
            Running::Nginx(nginx) => nginx.report(),
            Running::Apache(apache) => apache.report(),
        };
        format!("{front}\n{}", self.app.report())
    }
}

/// Debian's stock parameters, as every tutorial includes them.
pub(crate) fn uwsgi_pass(to: &Address) -> String {
    let to = match to {
        Address::Unix(path) => format!("unix:{}", path.display()),
        Address::Tcp(address) => address.to_string(),
    };
    format!("location / {{ include /etc/nginx/uwsgi_params; uwsgi_pass {to}; }}")
}

fn proxy_pass(to: &Address) -> String {
    let to = match to {
        Address::Unix(path) => format!("unix:{}|uwsgi://localhost/", path.display()),
        Address::Tcp(address) => format!("uwsgi://{address}/"),
    };
    format!("ProxyPass /health-of-the-front-end !\nProxyPass / {to}\n")
}

/// An address of the loopback network that only this test process uses.
fn own_address() -> SocketAddr {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(127, high, low, 1), free_port()))
}

fn ini(site: Site, address: &Address) -> String {
    let socket = match address {
        Address::Unix(path) => path.display().to_string(),
        Address::Tcp(address) => address.to_string(),
    };
    let apps = repository().join("tests/apps");
    let apps = apps.display();
    let environment = test_env();
    let environment = environment.display();
    let lines = match site {
        Site::Flask => format!("chdir = {apps}/flask_site\nmodule = site_app:app\n"),
        Site::Django => format!(
            "chdir = {apps}/django_site\nmodule = shop.wsgi\nstatic-map = /static={{dir}}/static\n"
        ),
    };
    format!(
        "[uwsgi]\nsocket = {socket}\nchmod-socket = 666\nvirtualenv = {environment}\nprocesses = 2\n\
         env = SITE_DATA={{dir}}\nenv = BIG_FILE={{dir}}/big\n\
         env = PYTHONDONTWRITEBYTECODE=1\n{lines}"
    )
}

/// The big file; for Django a database with a user, and the admin's static files.
fn prepare(site: Site, folder: &Folder) {
    let big: Vec<u8> = (0..BIG_FILE).map(|at| (at % 251) as u8).collect();
    folder.write_bytes("big", &big);
    if site == Site::Flask {
        return;
    }
    let steps: [&[&str]; 3] = [
        &["migrate", "--verbosity", "0"],
        &["collectstatic", "--noinput", "--verbosity", "0"],
        &[
            "createsuperuser",
            "--noinput",
            "--username",
            "root",
            "--email",
            "r@test.example",
        ],
    ];
    for step in steps {
        let output = Command::new(test_env().join("bin/python"))
            .arg(repository().join("tests/apps/django_site/manage.py"))
            .args(step)
            .env("SITE_DATA", folder.path())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("DJANGO_SUPERUSER_PASSWORD", "secret")
            .output()
            .expect("manage.py");
        assert!(output.status.success(), "{step:?}: {output:?}");
    }
}
