//! Families of plugins: other languages, and services that the original runs beside the app.

use super::{Family, left_out};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        title: "Other languages",
        support: left_out(
            "Python is the only language here",
            "run that app with uWSGI, or with a server of its language",
        ),
        rows: "
cgi | text | of the plugin for CGI
cgi-allowed-ext | text | of the plugin for CGI
cgi-async-max-attempts | none | of the plugin for CGI
cgi-buffer-size | number | of the plugin for CGI
cgi-close-stdin-on-eof | flag | of the plugin for CGI
cgi-do-not-kill-on-error | flag | of the plugin for CGI
cgi-from-docroot | flag | of the plugin for CGI
cgi-index | text | of the plugin for CGI
cgi-loadlib | text | of the plugin for CGI
cgi-map-helper cgi-helper | text | of the plugin for CGI
cgi-optimize cgi-optimized | flag | of the plugin for CGI
cgi-path-info | flag | of the plugin for CGI
cgi-safe | text | of the plugin for CGI
cgi-timeout | seconds | of the plugin for CGI
cgi-unset | text | of the plugin for CGI
coroae | text | of the plugin for Perl
dumbloop-code | text | of the plugin for loops in other languages
dumbloop-function | text | of the plugin for loops in other languages
dumbloop-modifier1 | number | of the plugin for loops in other languages
fiber | flag | of the plugin for Ruby
gemset rvm | text | of the plugin for Ruby
go-args gccgo-args | text | of the plugin for Go
go-load gccgo-load | text | of the plugin for Go
goroutines | text | of the plugin for Go
jvm-class | text | of the plugin for Java
jvm-classpath | text | of the plugin for Java
jvm-main-class | text | of the plugin for Java
jvm-opt | text | of the plugin for Java
jwsgi | text | of the plugin for Java
lua | text | of the plugin for Lua
lua-gc-freq | none | of the plugin for Lua
lua-load | text | of the plugin for Lua
lua-shell luashell | none | of the plugin for Lua
mono-app | text | of the plugin for Mono
mono-assembly | text | of the plugin for Mono
mono-config | text | of the plugin for Mono
mono-exec | text | of the plugin for Mono
mono-gc-freq | seconds | of the plugin for Mono
mono-index | text | of the plugin for Mono
mono-key | text | of the plugin for Mono
mono-version | text | of the plugin for Mono
perl-arg | text | of the plugin for Perl
perl-args | text | of the plugin for Perl
perl-auto-reload | number | of the plugin for Perl
perl-auto-reload-ignore | text | of the plugin for Perl
perl-exec | text | of the plugin for Perl
perl-exec-post-fork | text | of the plugin for Perl
perl-local-lib | text | of the plugin for Perl
perl-no-die-catch | flag | of the plugin for Perl
perl-no-plack | flag | of the plugin for Perl
perl-version | none! | of the plugin for Perl
php-allowed-docroot | text | of the plugin for PHP
php-allowed-ext | text | of the plugin for PHP
php-allowed-script | text | of the plugin for PHP
php-app | text | of the plugin for PHP
php-app-bypass | text | of the plugin for PHP
php-app-qs | text | of the plugin for PHP
php-constant | text | of the plugin for PHP
php-docroot | text | of the plugin for PHP
php-dump-config | flag | of the plugin for PHP
php-exec-after php-exec-end | text | of the plugin for PHP
php-exec-before php-exec-begin | text | of the plugin for PHP
php-fallback | text | of the plugin for PHP
php-fallback-qs | text | of the plugin for PHP
php-fallback2 | text | of the plugin for PHP
php-index | text | of the plugin for PHP
php-ini php-config | text | of the plugin for PHP
php-ini-append php-config-append | text | of the plugin for PHP
php-sapi-name | text | of the plugin for PHP
php-server-software | text | of the plugin for PHP
php-set | text | of the plugin for PHP
php-var | text | of the plugin for PHP
plshell | text | of the plugin for Perl
plshell-oneshot | none | of the plugin for Perl
psgi | text | of the plugin for Perl
psgi-enable-psgix-io | flag | of the plugin for Perl
pypy-eval | text | of the plugin for PyPy
pypy-eval-post-fork | text | of the plugin for PyPy
pypy-exec | text | of the plugin for PyPy
pypy-exec-post-fork | text | of the plugin for PyPy
pypy-home | text | of the plugin for PyPy
pypy-ini-paste | text! | of the plugin for PyPy
pypy-lib | text | of the plugin for PyPy
pypy-paste | text | of the plugin for PyPy
pypy-pp pypy-python-path pypy-pythonpath | text | of the plugin for PyPy
pypy-setup | text | of the plugin for PyPy
pypy-wsgi | text | of the plugin for PyPy
pypy-wsgi-file | text | of the plugin for PyPy
rack | text | of the plugin for Ruby
rails | text | of the plugin for Ruby
rb-lib ruby-lib | text | of the plugin for Ruby
rb-require ruby-require rbrequire rubyrequire require | text | of the plugin for Ruby
rbshell | text | of the plugin for Ruby
rbshell-oneshot | none | of the plugin for Ruby
rbthreads rb-threads rbthread rb-thread | flag | of the plugin for Ruby
ring-app | text | of the plugin for Clojure
ring-load clojure-load | text | of the plugin for Clojure
ruby-gc-freq rb-gc-freq | seconds | of the plugin for Ruby
rvm-path | text | of the plugin for Ruby
shared-rb-require shared-ruby-require shared-rbrequire shared-rubyrequire shared-require | text | of the plugin for Ruby
symcall | text | of the plugin for functions in C
symcall-post-fork | text | of the plugin for functions in C
symcall-register-rpc | text | of the plugin for functions in C
symcall-use-next | flag | of the plugin for functions in C
v8-gc-freq | seconds | of the plugin for JavaScript
v8-jsgi | text | of the plugin for JavaScript
v8-load | text | of the plugin for JavaScript
v8-module-path | text | of the plugin for JavaScript
v8-preemptive | number | of the plugin for JavaScript
xslt-content-type | text | of the plugin for XSLT
xslt-docroot | text | of the plugin for XSLT
xslt-ext | text | of the plugin for XSLT
xslt-stylesheet | text | of the plugin for XSLT
xslt-var | text | of the plugin for XSLT
",
    },
    Family {
        title: "Other loop engines",
        support: left_out(
            "an app runs in threads, by gevent or by asyncio",
            "raise threads, or use gevent",
        ),
        rows: "
stackless | flag | of the plugin for Stackless Python
tornado | text | of the plugin for Tornado
ugreen-stacksize | number | of the plugin for uGreen
",
    },
    Family {
        title: "Other plugins",
        support: left_out(
            "that plugin is not here",
            "use a program that is made for it, beside the app",
        ),
        rows: "
curl-cron cron-curl | text | of the plugin for cron by HTTP
forkptyrouter forkpty-router | text | of the plugin for terminals over sockets
forkptyrouter-cheap | flag | of the plugin for terminals over sockets
forkptyrouter-cols | number | of the plugin for terminals over sockets
forkptyrouter-command forkpty-router-command forkptyrouter-cmd forkpty-router-cmd | text | of the plugin for terminals over sockets
forkptyrouter-events | number | of the plugin for terminals over sockets
forkptyrouter-fallback | text | of the plugin for terminals over sockets
forkptyrouter-harakiri | number | of the plugin for terminals over sockets
forkptyrouter-processes forkptyrouter-workers | number | of the plugin for terminals over sockets
forkptyrouter-rows | number | of the plugin for terminals over sockets
forkptyrouter-stats forkptyrouter-stats-server forkptyrouter-ss | text | of the plugin for terminals over sockets
forkptyrouter-timeout | seconds | of the plugin for terminals over sockets
forkptyrouter-zerg | text | of the plugin for terminals over sockets
forkptyurouter forkpty-urouter | text | of the plugin for terminals over sockets
geoip-city | text | of the plugin for GeoIP
geoip-country | text | of the plugin for GeoIP
geoip-use-disk | flag | of the plugin for GeoIP
glusterfs-mount | text | of the plugin for GlusterFS
glusterfs-timeout | seconds | of the plugin for GlusterFS
gridfs-debug | flag | of the plugin for GridFS
gridfs-mount | text | of the plugin for GridFS
ldap | text! | of the plugin for LDAP
ldap-schema | none! | of the plugin for LDAP
ldap-schema-ldif | none! | of the plugin for LDAP
legion-curl-cron legion-cron-curl curl-cron-legion cron-curl-legion | text | of the plugin for cron by HTTP
log-zeromq | text | of the plugin for ZeroMQ logging
nagios | flag | of the plugin for Nagios
notfound-log | flag | of the plugin for 404 logging
pam | text | of the plugin for PAM
pam-user | text | of the plugin for PAM
ping | text | of the plugin for pinging a server
ping-timeout | seconds | of the plugin for pinging a server
pty-connect | text | of the plugin for terminals over sockets
pty-exec | text | of the plugin for terminals over sockets
pty-input | flag | of the plugin for terminals over sockets
pty-log | flag | of the plugin for terminals over sockets
pty-no-isig | flag | of the plugin for terminals over sockets
pty-socket | text | of the plugin for terminals over sockets
pty-uconnect | text | of the plugin for terminals over sockets
rados-mount | text | of the plugin for RADOS
rados-timeout | seconds | of the plugin for RADOS
rrdtool | text | of the plugin for RRDtool
rrdtool-freq | seconds | of the plugin for RRDtool
rrdtool-lib | text | of the plugin for RRDtool
sqlite3 sqlite | text! | of the plugin for SQLite configs
tuntap-device | text | of the plugin for virtual networks
tuntap-device-rule | text | of the plugin for virtual networks
tuntap-router | text | of the plugin for virtual networks
tuntap-router-firewall-in | text | of the plugin for virtual networks
tuntap-router-firewall-out | text | of the plugin for virtual networks
tuntap-router-route | text | of the plugin for virtual networks
tuntap-router-stats | text | of the plugin for virtual networks
tuntap-use-credentials | text | of the plugin for virtual networks
webdav-add-collection-prop | text | of the plugin for WebDAV
webdav-add-collection-prop-comp | text | of the plugin for WebDAV
webdav-add-collection-prop-href | text | of the plugin for WebDAV
webdav-add-object-prop | text | of the plugin for WebDAV
webdav-add-object-prop-comp | text | of the plugin for WebDAV
webdav-add-object-prop-href | text | of the plugin for WebDAV
webdav-add-option | text | of the plugin for WebDAV
webdav-add-prop | text | of the plugin for WebDAV
webdav-add-prop-comp | text | of the plugin for WebDAV
webdav-add-prop-href | text | of the plugin for WebDAV
webdav-add-rtype-collection-prop | text | of the plugin for WebDAV
webdav-add-rtype-object-prop | text | of the plugin for WebDAV
webdav-add-rtype-prop | text | of the plugin for WebDAV
webdav-class-directory | text | of the plugin for WebDAV
webdav-css | text | of the plugin for WebDAV
webdav-div | text | of the plugin for WebDAV
webdav-javascript webdav-js | text | of the plugin for WebDAV
webdav-lock-cache | text | of the plugin for WebDAV
webdav-mount | text | of the plugin for WebDAV
webdav-principal-base | text | of the plugin for WebDAV
webdav-skip-prop | text | of the plugin for WebDAV
zabbix-template | text | of the plugin for Zabbix
zeromq zmq zeromq-socket zmq-socket mongrel2 | text | of the plugin for Mongrel2
",
    },
];
