"""The peers: how each is configured, started and reached.

A row is a name and a function that starts it and gives the Target and the processes to stop.
nginx runs once for all of them: it is the base of every pair and the front of those peers that
speak FastCGI or uwsgi.
"""

import collections
import grp
import os
import pwd
import re
import socket

import bench_house
from bench_http import Target

WORKERS = os.cpu_count() or 1
PROCESSES_CGI = 2 * WORKERS
PROCESSES_WIDE = 64
BASE_SIZE_MAX = 256

Peer = collections.namedtuple("Peer", "name start")

NGINX_CONF = """
worker_processes {workers};
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log crit;
user {user} {group};
events {{ worker_connections 2048; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  client_body_temp_path {folder}/nginx-body;
  fastcgi_temp_path {folder}/nginx-fastcgi;
  proxy_temp_path {folder}/nginx-proxy;
  uwsgi_temp_path {folder}/nginx-uwsgi;
  scgi_temp_path {folder}/nginx-scgi;
  default_type text/plain;
  upstream kept {{ server unix:{folder}/fcgi.sock; keepalive 1; }}
  upstream kept-wide {{ server unix:{folder}/fcgi.sock; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    {bases}
    location = /fcgi {{ fastcgi_pass kept; fastcgi_keep_conn on; {params} }}
    location = /fcgi-wide {{ fastcgi_pass kept-wide; fastcgi_keep_conn on; {params} }}
    location = /uwsgi {{ uwsgi_pass unix:{folder}/uwsgi.sock; {uwsgi_params} }}
    {cgis}
  }}
}}
"""

NGINX_CGI = """location = /{name} {{
      fastcgi_pass unix:{folder}/fcgiwrap.sock;
      fastcgi_param SCRIPT_FILENAME {path};
      {params}
    }}
"""

# The same variables for both protocols, so that nobody has more to parse.
NGINX_PARAMS = """{0}_param REQUEST_METHOD $request_method;
      {0}_param CONTENT_TYPE $content_type;
      {0}_param CONTENT_LENGTH $content_length;
      {0}_param REQUEST_URI $request_uri;
      {0}_param PATH_INFO $uri;
      {0}_param QUERY_STRING $query_string;
      {0}_param SERVER_PROTOCOL $server_protocol;
      {0}_param SERVER_NAME $server_name;
      {0}_param SERVER_PORT $server_port;
      {0}_param REMOTE_ADDR $remote_addr;"""

WSGI_APP = """
def application(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    answer = b"Hello, " + body + b"!"
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("Content-Length", str(len(answer)))])
    return [answer]
"""

NODE_APP = """
const server = require('http').createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    const answer = 'Hello, ' + Buffer.concat(parts) + '!';
    response.writeHead(200, {'Content-Type': 'text/plain', 'Content-Length': answer.length});
    response.end(answer);
  });
});
server.listen(0, '127.0.0.1', () => console.log('port ' + server.address().port));
"""


class Nginx:
    """The base of every pair and the front of some peers."""

    def __init__(self, house):
        self.house = house
        program = bench_house.need("nginx", "nginx-light")
        for _ in range(3):      # somebody may take the port between our look and its bind
            self.port = bench_house.free_port()
            conf = house.write("nginx.conf", self.conf())
            self.process = house.start("nginx", [program, "-c", conf, "-p", house.folder,
                                                 "-e", house.path("nginx-error.log")])
            try:
                house.wait_until(lambda: bench_house.answers(self.port), self.process, "nginx")
                return
            except bench_house.Missing as error:
                house.stop(self.process)
                why = error
        raise why

    def conf(self):
        folder, user = self.house.folder, pwd.getpwuid(os.geteuid())
        params = NGINX_PARAMS.format("fastcgi")
        bases = "\n    ".join(f'location = /r{n} {{ return 200 "{"r" * n}"; }}'
                              for n in range(BASE_SIZE_MAX + 1))
        cgis = "".join(NGINX_CGI.format(name=name, folder=folder, params=params, path=path)
                       for name, path in self.scripts().items())
        return NGINX_CONF.format(workers=WORKERS, folder=folder, port=self.port, bases=bases,
                                 params=params, cgis=cgis,
                                 uwsgi_params=NGINX_PARAMS.format("uwsgi"), user=user.pw_name,
                                 group=grp.getgrgid(user.pw_gid).gr_name)

    def scripts(self):
        """name -> path of the CGI programs; start_fcgiwrap says why one is missing."""
        found = {}
        for name in ("cgi-hello", "cgi-tr"):
            try:
                found[name] = self.house.program(name)
            except bench_house.Missing:
                pass
        return found

    def base(self, size):
        """`return 200` with a body of this size."""
        if size > BASE_SIZE_MAX:
            raise bench_house.Missing(f"answer of {size} bytes has no base in nginx.conf")
        return Target(self.port, f"/r{size}")


def listen_unix(house, name):
    """A listening Unix socket for the fd 0 of FastCGI processes."""
    s = socket.socket(socket.AF_UNIX)
    if os.path.exists(house.path(name)):
        os.unlink(house.path(name))
    s.bind(house.path(name))
    s.listen(1024)
    return s


def start_return(house, nginx):
    return nginx.base(28), []


def start_responders(house, processes):
    program = house.program("fcgi-hello", "-lfcgi", package="libfcgi-dev")
    with listen_unix(house, "fcgi.sock") as s:
        return [house.start("fcgi-hello", [program], stdin=s) for _ in range(processes)]


def start_fcgi(house, nginx):
    """A process for each nginx worker, which keeps one lane: the others wait in the backlog."""
    return Target(nginx.port, "/fcgi"), start_responders(house, WORKERS)


def start_fcgi_wide(house, nginx):
    """A process for each of 64 connections: no lane starves, at the price of processes."""
    return Target(nginx.port, "/fcgi-wide"), start_responders(house, PROCESSES_WIDE)


def start_uwsgi(house, nginx):
    program = bench_house.need("uwsgi", "uwsgi-core")
    bench_house.need("/usr/lib/uwsgi/plugins/python3_plugin.so", "uwsgi-plugin-python3")
    app = house.write("app.py", WSGI_APP)
    path = house.path("uwsgi.sock")
    process = house.start("uwsgi", [program, "--plugin", "python3", "--socket", path, "--wsgi-file",
                                    app, "--processes", str(WORKERS), "--master", "--listen",
                                    "100", "--disable-logging", "--die-on-term"])
    house.wait_until(lambda: "spawned uWSGI worker" in house.log("uwsgi"), process, "uwsgi")
    return Target(nginx.port, "/uwsgi"), [process]


def start_gunicorn(house, nginx):
    program = bench_house.need("gunicorn", "gunicorn")
    house.write("app.py", WSGI_APP)
    process = house.start("gunicorn", [program, "-w", str(WORKERS), "-b", "127.0.0.1:0",
                                       "--chdir", house.folder, "app:application"])
    found = house.wait_until(lambda: re.search(r"Listening at: http://127\.0\.0\.1:(\d+)",
                                               house.log("gunicorn")), process, "gunicorn")
    port = int(found.group(1))
    house.wait_until(lambda: house.log("gunicorn").count("Booting worker") >= WORKERS, process,
                     "gunicorn")
    return Target(port, "/"), [process]


def start_node(house, nginx):
    program = bench_house.need("node", "nodejs")
    script = house.write("app.js", NODE_APP)
    process = house.start("node", [program, script])
    found = house.wait_until(lambda: re.search(r"port (\d+)", house.log("node")), process, "node")
    return Target(int(found.group(1)), "/"), [process]


def start_fcgiwrap(house, nginx, script):
    program = bench_house.need("fcgiwrap", "fcgiwrap")
    house.program(script)
    with listen_unix(house, "fcgiwrap.sock") as s:
        process = house.start("fcgiwrap", [program, "-c", str(PROCESSES_CGI)], stdin=s)
    return Target(nginx.port, "/" + script), [process]


def start_fcgiwrap_c(house, nginx):
    return start_fcgiwrap(house, nginx, "cgi-hello")


def start_fcgiwrap_tr(house, nginx):
    return start_fcgiwrap(house, nginx, "cgi-tr")


PEERS = [
    Peer("nginx-return", start_return),
    Peer("nginx-fcgi", start_fcgi),
    Peer("nginx-fcgi-wide", start_fcgi_wide),
    Peer("nginx-uwsgi-py", start_uwsgi),
    Peer("gunicorn-sync", start_gunicorn),
    Peer("node-http", start_node),
    Peer("nginx-fcgiwrap-c", start_fcgiwrap_c),
    Peer("nginx-fcgiwrap-tr", start_fcgiwrap_tr),
]
