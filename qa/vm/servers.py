# SPDX-License-Identifier: LGPL-2.1-or-later
"""The database servers of a guest with server_image's disk: each with its data on a disk of its own, clients that
write to it and note what was acknowledged, and what there is to find in a copy of its disk."""

import re
from dataclasses import dataclass, field

import disks
from guest import CommandFailed
from ports import Timeout

# Feeds statements without end to a client, a client per table. @N@ is the statement's number; the client's answers
# go to a tmpfs, a line as soon as it comes.
WRITER = r"""
trap 'kill 0' TERM
{ awk -v text="$1" 'BEGIN { for (n = 1; ; n++) { line = text; gsub(/@N@/, n, line); print line } }'; } | $2 >"$3" 2>&1
"""


@dataclass
class Finding:
    """One thing that was examined: what, whether it is good, and what was seen."""
    what: str
    is_good: bool
    seen: str


@dataclass
class Story:
    """How a copy is taken, and which findings must then be bad, one of them at least (these alone may be)."""
    name: str
    with_hooks: bool = True
    with_freeze: bool = True
    prepare: object = lambda hooks: None
    bad: set = field(default_factory=set)


class Server:
    """A server in a guest. What the kinds have in common."""

    name = ""
    make_disk = disks.ext4
    mib = 320
    user = ""
    bad_without = set()  # what is found bad where no hook ran
    hooks = {}  # name in hooks.d -> (the shipped hook, its settings)

    def __init__(self, guest):
        self.guest = guest
        self.folder = f"/data/{self.name}"
        self.writers = []
        self.jobs = []

    @classmethod
    def disk(cls):
        return disks.empty(cls.name, cls.mib, cls.make_disk)

    def mount(self, serial=None):
        """Mounts its data: its own disk, or the copy of one."""
        self.guest.run(f"modprobe -a xfs btrfs; mkdir -p {self.folder} /run/{self.name}; "
                       f"mount $(readlink -f /dev/qa/{serial or self.name}) {self.folder} && "
                       f"chown {self.user}: {self.folder} /run/{self.name}")

    def as_user(self, *argv):
        return ["setpriv", "--reuid", self.user, "--regid", self.user, "--clear-groups", *map(str, argv)]

    def run_server(self, *argv, log, answers):
        """Starts a program of the server's, and waits until the command @answers succeeds."""
        # Busy servers would starve what is tested, where there are two emulated processors.
        job = self.guest.spawn(f"cd /; exec nice -n 10 {' '.join(self.as_user(*argv))} </dev/null >>{log} 2>&1")

        def is_up():
            return job.poll() is not None or self.guest.run(answers, check=False).returncode == 0
        try:
            self.guest.wait_for(is_up, 240, 0.3, f"{self.name}'s start")
        except Timeout as error:
            raise Timeout(f"{error}: {self.guest.run(answers, check=False).stderr}") from None
        if job.poll() is not None:
            raise AssertionError(f"{self.name} does not start: {self.guest.sh(f'tail -n 30 {log}')}")
        self.jobs.append(job)

    def stop(self):
        """Ends the server as a loss of power would, and takes its disk away."""
        for job in self.jobs:
            job.kill()
        self.guest.wait_for(["umount", self.folder])
        self.guest.run(f"rm -rf /run/{self.name}/*")

    def write(self, table, statement, client):
        """A writer to @table: @statement with @N@ for the number, the client's answers in a file."""
        log = f"/run/acknowledged-{self.name}-{table}"
        self.writers.append((table, log))
        return self.guest.spawn(["nice", "-n", "15", "sh", "-c", WRITER, "writer", statement, client, log])

    def acknowledged(self):
        """Table -> the number of its last acknowledged statement."""
        text = self.guest.sh("; ".join(f"echo {table} $({self.count_in(log)})" for table, log in self.writers))
        return {line.split()[0]: int((line.split() + ["0"])[1]) for line in text.splitlines()}

    def wait_more(self, count, timeout=240):
        """Waits until each table has so many more acknowledged statements."""
        before = self.acknowledged()
        self.guest.wait_for(lambda: all(now >= before[table] + count for table, now in self.acknowledged().items()),
                            timeout, 0.3, f"{count} more commits in each table of {self.name}")

    def stories(self):
        """What the command databases tries."""
        return [Story("with-hook"), Story("without-hook", with_hooks=False, bad=self.bad_without)]

    def before_freeze(self):
        """What look() and examine() are to compare with, from just before the freeze."""
        return None

    def look(self, before):
        """Findings of a copy on which no server was started yet."""
        return []

    def examine(self, acknowledged, before):
        """Findings of a copy on which the server was started."""
        raise NotImplementedError

    def compare(self, what, acknowledged, found, next_allowed=1):
        """The rows found (table -> (rows, highest number)) against what was acknowledged."""
        for table, last in acknowledged.items():
            rows, highest = found[table]
            # Of each writer at most one statement was under way, which may be there or not.
            is_good = last > 0 and rows == highest and last <= highest <= last + next_allowed
            yield Finding(f"{what} {table}", is_good,
                          f"{last} acknowledged, {rows} found, highest {highest}, lost {max(0, last - rows)}")


class MariaDb(Server):
    """With tables of each engine that needs care. Durability is as MariaDB has it by default."""

    name = "mariadb"
    hooks = {"50-mysql.session": ("mysql.session", "limit = 60\n")}
    user = "mysql"
    engines = {"innodb_a": "InnoDB", "innodb_b": "InnoDB", "aria": "Aria TRANSACTIONAL=1",
               "aria_plain": "Aria TRANSACTIONAL=0", "myisam": "MyISAM"}
    bad_without = {"check table aria_plain", "check table myisam", "the server's log on tables"}
    client = "mariadb --batch --silent --silent --unbuffered --skip-reconnect"

    def make(self):
        self.mount()
        self.guest.run(["install", "-d", "-o", "mysql", f"{self.folder}/db"])
        self.guest.run([*"mariadb-install-db --no-defaults --user=mysql --auth-root-authentication-method=socket "
                        "--skip-test-db --skip-name-resolve".split(), f"--datadir={self.folder}/db"], timeout=600)

    def start(self, *options):
        # Small, for the copy's sake; nothing here changes what is safe on the disk and when.
        # The socket is where a client looks for it.
        self.guest.run("mkdir -p /run/mysqld && chown mysql /run/mysqld")
        self.log = "/run/mariadb/log"
        self.run_server("mariadbd", "--no-defaults", f"--datadir={self.folder}/db", "--socket=/run/mysqld/mysqld.sock",
                        "--pid-file=/run/mysqld/pid", "--skip-networking", "--skip-name-resolve", "--log-bin=binlog",
                        "--innodb-buffer-pool-size=32M", *options, log=self.log, answers=["mariadb", "-e", "SELECT 1"])

    def sql(self, text, timeout=240):
        """The lines that come back, each a list of fields."""
        job = self.guest.run(self.client.split(), input=text + "\n", timeout=timeout)
        return [line.split("\t") for line in job.stdout.splitlines()]

    def load(self):
        self.sql("CREATE DATABASE load_test;" + "".join(
            f"CREATE TABLE load_test.{table} (n INT NOT NULL PRIMARY KEY, s VARCHAR(200), KEY (s)) ENGINE={engine};"
            for table, engine in self.engines.items()))
        for table in self.engines:
            self.write(table, f"INSERT INTO load_test.{table} VALUES (@N@, MD5(@N@)); SELECT @N@;", self.client)

    def stories(self):
        def set_read_lock(hooks):
            hooks.enable("50-mysql.session", "mysql.session", "limit = 60\nmethod = read-lock\n")

        def set_lazy(hooks):
            self.sql("SET GLOBAL innodb_flush_log_at_trx_commit = 2;")
        # Lazily written commits are not on the disk but in the page cache: the freeze alone gets them there.
        tables = {f"{what} {table}" for table in self.engines for what in ("rows of", "check table")}
        return [*super().stories(), Story("read-lock", prepare=set_read_lock), Story("lazy-commits", prepare=set_lazy),
                Story("no-freeze", with_hooks=False, with_freeze=False, bad={*tables, *self.bad_without})]

    def count_in(self, log):
        return f"tail -n 1 {log}"

    def examine(self, acknowledged, before):
        for table in self.engines:
            lines = self.sql(f"CHECK TABLE load_test.{table} EXTENDED;")
            said = "; ".join(f"{line[2]}: {line[3]}" for line in lines)
            yield Finding(f"check table {table}", said == "status: OK", said)
        lines = self.sql("SELECT table_name FROM information_schema.tables WHERE table_schema = 'mysql' AND engine IN "
                         "('Aria', 'MyISAM');")
        lines = self.sql("CHECK TABLE " + ", ".join(f"mysql.{line[0]}" for line in lines) + ";")
        bad = [f"{line[0]}: {line[3]}" for line in lines if line[3] not in ("OK", "Table is already up to date")]
        yield Finding("check table of the server's own", not bad, "; ".join(bad) or f"{len(lines)} OK")
        log = self.guest.sh(f"cat {self.log}").splitlines()
        wrong = re.compile(r"crashed|[Rr]ecovering table|[Rr]epair|Checking table|not closed|\[ERROR\]")
        bad = [line for line in log if wrong.search(line)]
        yield Finding("the server's log on tables", not bad, "; ".join(bad)[:300] or "no table recovered")
        yield from self.compare("rows of", acknowledged, {table: self.count_rows(table) for table in self.engines})

    def count_rows(self, table):
        try:
            line, = self.sql(f"SELECT COUNT(*), COALESCE(MAX(n), 0) FROM load_test.{table};")
        except CommandFailed:
            return 0, 0  # a table that cannot be read
        return int(line[0]), int(line[1])


class PostgreSql(Server):
    """Two clusters of it, with checksums. Durability is as PostgreSQL has it by default."""

    name = "postgresql"
    user = "postgres"
    hooks = {"postgresql": ("postgresql", "limit = 60\n")}
    make_disk = disks.xfs
    mib = 500
    bad_without = {"first: the checkpoint is the hook's", "second: the checkpoint is the hook's"}
    clusters = {"first": 5432, "second": 5433}
    programs = "/usr/lib/postgresql/15/bin"

    def make(self):
        self.mount()
        first, *others = (f"{self.folder}/{cluster}" for cluster in self.clusters)
        self.guest.run(self.as_user(f"{self.programs}/initdb", "-D", first, "-A", "peer", "-k", "--locale=C.UTF-8"),
                       timeout=600)
        for other in others:
            self.guest.run(["cp", "-a", first, other])

    def start(self):
        for cluster, port in self.clusters.items():
            # No checkpoint may come by itself: the copies are to show the hook's.
            self.run_server(f"{self.programs}/postgres", "-D", f"{self.folder}/{cluster}", "-p", port, "-k",
                            "/run/postgresql", "-c", "listen_addresses=", "-c", "shared_buffers=16MB", "-c",
                            "checkpoint_timeout=1h", log=f"/run/postgresql/{cluster}.log",
                            answers=[*self.client(port), "-c", "SELECT 1"])

    def client(self, port):
        return self.as_user("psql", "-X", "-q", "-A", "-t", "-h", "/run/postgresql", "-p", port, "-v", "ON_ERROR_STOP=1")

    def sql(self, port, text):
        return self.guest.run([*self.client(port), "-c", text], timeout=240).stdout.strip()

    def load(self):
        for cluster, port in self.clusters.items():
            self.sql(port, "CREATE TABLE load_test (n INT PRIMARY KEY, s TEXT)")
            self.write(cluster, "INSERT INTO load_test VALUES (@N@, md5('@N@')); SELECT @N@;", " ".join(self.client(port)))

    def count_in(self, log):
        return f"tail -n 1 {log}"

    def before_freeze(self):
        """Where each cluster's log stood."""
        return {cluster: lsn(self.sql(port, "SELECT pg_current_wal_insert_lsn()")) for cluster, port in self.clusters.items()}

    def look(self, before):
        """Of a copy, before the server is started on it."""
        for cluster in self.clusters:
            said = self.guest.sh(f"{self.programs}/pg_controldata -D {self.folder}/{cluster}")
            redo = lsn(re.search("REDO location: *(\\S+)", said)[1])
            yield Finding(f"{cluster}: the checkpoint is the hook's", redo >= before[cluster],
                          f"{redo - before[cluster]:+d} bytes of log from the freeze's beginning to where a replay starts")

    def examine(self, acknowledged, before):
        found = {}
        for cluster, port in self.clusters.items():
            log = self.guest.sh(f"cat /run/postgresql/{cluster}.log")
            bad = [line for line in log.splitlines() if re.search("PANIC|ERROR|corrupt|checksum", line)]
            yield Finding(f"{cluster}: the server's log", not bad, "; ".join(bad)[:300] or "no error")
            self.sql(port, "CREATE EXTENSION amcheck")
            said = self.guest.run(f"{' '.join(self.client(port))} -c \"SELECT bt_index_check('load_test_pkey', true)\" 2>&1",
                                  check=False)
            yield Finding(f"{cluster}: amcheck", said.returncode == 0, said.stdout.strip()[:200] or "every row in the index")
            found[cluster] = tuple(map(int, self.sql(port, "SELECT count(*), max(n) FROM load_test").split("|")))
        yield from self.compare("rows of", acknowledged, found)


def lsn(text):
    """A position in PostgreSQL's log as a number."""
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)


class Redis(Server):
    """Two of it: one keeps its data by saves, one by an append-only file."""

    name = "redis"
    user = "redis"
    hooks = {"redis": ("redis", "server = /run/redis/rdb.sock\npassword-file = /run/redis-password\nlimit = 60\n"),
             "redis-aof": ("redis", "server=/run/redis/aof.sock\nlimit=60\n")}
    make_disk = disks.btrfs
    mib = 300
    bad_without = {"keys of rdb"}
    instances = {"rdb": ["--save", "3600", "1", "--requirepass", "secret"],
                 "aof": ["--appendonly", "yes", "--appendfsync", "always"]}

    def make(self):
        self.mount()
        for instance in self.instances:
            self.guest.run(["install", "-d", "-o", "redis", f"{self.folder}/{instance}"])

    def start(self):
        self.guest.push(b"secret\n", "/run/redis-password", 0o600)
        for instance, options in self.instances.items():
            self.run_server("redis-server", "--port", "0", "--unixsocket", f"/run/redis/{instance}.sock", "--dir",
                            f"{self.folder}/{instance}", *options, log=f"/run/redis/{instance}.log",
                            answers=f"{' '.join(self.client(instance))} PING | grep -q PONG")

    def client(self, instance):
        return ["env", "REDISCLI_AUTH=secret" if instance == "rdb" else "-", "redis-cli", "-s", f"/run/redis/{instance}.sock"]

    def ask(self, instance, *command):
        return self.guest.run([*self.client(instance), *command]).stdout.strip()

    def load(self):
        for instance in self.instances:
            self.write(instance, "SET key:@N@ @N@", " ".join(self.client(instance)))

    def count_in(self, log):
        return f"grep -c OK {log}"

    def examine(self, acknowledged, before):
        found = {}
        for instance in self.instances:
            size = int(self.ask(instance, "DBSIZE"))
            found[instance] = (size, size if self.ask(instance, "GET", f"key:{size}") == str(size) else -1)
        # A save holds what was acknowledged before it began; the append-only file everything.
        yield from self.compare("keys of", {"aof": acknowledged["aof"]}, found)
        for key in self.compare("keys of", {"rdb": before["rdb"]}, found, next_allowed=10**9):
            yield key

    def before_freeze(self):
        return self.acknowledged()
