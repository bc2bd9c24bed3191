"""A token and a password, given in every way, while every downloader runs: who gets them, and that nobody else sees them.

What is searched: both streams of ``bundler --debug fetch``, of a run that fails and of one that ends well; every file
of the cache and beside the recipe; the command lines of all processes of the host; the environments of processes that
bundler started; what the CDN, a mirror and a proxy were sent.
"""

from __future__ import annotations

import base64
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest

from testbed.authority import Authority
from testbed.hub import Hub
from testbed.hub_faults import Fault, Kind
from testbed.hub_repo import HubRepo
from testbed.hub_seen import Seen, fingerprint
from testbed.proxy import Proxy
from tests.support.download_world import REPO, write_content
from tests.support.fault_rows import LFS
from tests.support.fetch_site import FetchSite, require_fetched
from tests.support.waiting import PATIENCE_S

TOKEN = "hf_XwQ7cVbLsecretK3yRnP"
PASSWORD = "pAss/wordThatIsSecret9"
SIZE = 3 << 20
SPEED = 3 << 20
REAL = "huggingface.co:443"
REAL_CDN = "cdn-lfs.huggingface.co"


def forms(secret: str) -> list[bytes]:
    """How a secret may be written: as it is, in an address, in basic auth (at each of three alignments)."""
    shifted = [base64.b64encode(b"x" * shift + secret.encode())[4:-4] for shift in range(3)]
    return [secret.encode(), quote(secret, "").encode(), *shifted]


def require_clean(content: bytes | str, secret: str, where: object) -> None:
    raw = content.encode(errors="replace") if isinstance(content, str) else content
    for form in forms(secret):
        assert form not in raw, f"the secret stands in {where}"


@dataclass
class Watch:
    """Looks at processes while the block runs: all command lines, and the environments of descendants of ``pid``."""

    pid: int
    command_lines: set[bytes] = field(default_factory=set)
    environments: dict[int, bytes] = field(default_factory=dict)
    _ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Watch:
        # Apart: on a busy host to look at all processes may take as long as a child lives.
        self._threads = [threading.Thread(target=look) for look in (self._look_at_all, self._look_at_descendants)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _look_at_all(self) -> None:
        while not self._ended.wait(0.05):
            for folder in Path("/proc").glob("[0-9]*"):
                try:
                    self.command_lines.add((folder / "cmdline").read_bytes())
                except OSError:
                    continue

    def _look_at_descendants(self) -> None:
        while not self._ended.wait(0.05):
            for child in descendants(self.pid):
                try:
                    # Between fork and exec it is still a copy of bundler itself.
                    if (Path(f"/proc/{child}/cmdline")).read_bytes() != Path(f"/proc/{self.pid}/cmdline").read_bytes():
                        environment = Path(f"/proc/{child}/environ").read_bytes()
                        if environment:  # one that has ended has none any more
                            self.environments[child] = environment
                except OSError:
                    continue


def descendants(pid: int) -> Iterator[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return
    for child in children:
        yield child
        yield from descendants(child)


@dataclass
class Case:
    """One way to give a secret."""

    site: FetchSite
    secret: str
    options: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    endpoints: Sequence[str] | None = None
    #: Files that hold the secret by the person's will.
    own: Sequence[Path] = ()
    way: str = "ranged"

    def run(self, *more: str) -> tuple[int, str, str, Watch]:
        """Exit code, both streams, and what was seen of processes."""
        options = ("--downloader", self.way, "--accept-licence", f"gated:{REPO}", *self.options, *more)
        process: subprocess.Popen[str] = self.site.start(*options, env=self.env, endpoints=self.endpoints)
        with Watch(process.pid) as watch:
            output, complaint = process.communicate(timeout=PATIENCE_S)
        return process.returncode, output, complaint, watch

    def require_secret(self, content: Path) -> None:
        """Fail once, end well once, and search everything."""
        hub = self.site.hub
        hub.faults.add(Fault(LFS, Kind.STATUS, times=None))
        code, output, complaint, watch = self.run("--attempts", "2", "--retry-delay", "1s")
        assert code == 4, complaint
        assert "Traceback" in complaint, "with --debug, so that everything that is told was told"
        assert hub.faults.struck(Kind.STATUS)
        hub.faults.clear()
        self._search(output + complaint, watch)
        code, output, complaint, watch = self.run()
        assert code == 0, complaint
        require_fetched(output, content)
        self._search(output + complaint, watch)
        assert bool(watch.environments) == (self.way != "ranged"), "a process of its own was seen"

    def _search(self, told: str, watch: Watch) -> None:
        require_clean(told, self.secret, "what is told")
        for line in watch.command_lines:
            require_clean(line, self.secret, f"a command line: {line.split(chr(0).encode())[0].decode()}")
        for environment in watch.environments.values():
            require_clean(environment, self.secret, "the environment of a process that bundler started")
        for path in self.site.root.rglob("*"):
            if path.is_file() and path not in self.own and not path.is_relative_to(self.site.root / "repo"):
                require_clean(path.read_bytes(), self.secret, path)


def require_only_to(hub: Hub, expected: str, others: Sequence[Seen]) -> None:
    """The Hub was shown it and gave its answers for it, the CDN and ``others`` were not."""
    shown = {seen.authorization for seen in hub.requests(server="hub")}
    assert fingerprint(expected) in shown
    for seen in (*hub.requests(server="cdn"), *others):
        assert seen.authorization is None, seen.path
        assert seen.cookie is None, seen.path
        for form in forms(expected.partition(" ")[2]):
            assert form.decode() not in f"{seen.path}?{seen.query}"
    assert hub.requests(server="cdn")


@pytest.fixture
def content(tmp_path: Path) -> Path:
    return write_content(tmp_path / "repo", SIZE)


def gated(content: Path) -> HubRepo:
    return HubRepo(REPO, content, gated=True, readers=frozenset({TOKEN}))


@pytest.mark.parametrize("way", ["ranged", "hf_transfer", "hub"])
def test_a_token_of_one_server_is_shown_to_no_other(tmp_path: Path, content: Path, way: str) -> None:
    """Two endpoints, a token for the second, whose CDN is another port of the same host."""
    options = {"tokens": [TOKEN], "all_bytes_per_s": SPEED, "cookie": "session=1; Path=/"}
    with Hub([gated(content)], **options) as hub, Hub() as mirror:  # type: ignore[arg-type]
        token = tmp_path / "token"
        token.write_text(f"{TOKEN}\n")
        case = Case(
            FetchSite(tmp_path, hub),
            TOKEN,
            ("--endpoint-token", f"{hub.endpoint}={token}"),
            endpoints=[mirror.endpoint, hub.endpoint],
            own=[token],
            way=way,
        )
        case.require_secret(content)
        assert mirror.requests()
        require_only_to(hub, f"Bearer {TOKEN}", mirror.requests())


@pytest.mark.parametrize("way", ["ranged", "hf_transfer", "hub"])
def test_the_persons_own_token_is_not_for_a_mirror(tmp_path: Path, content: Path, way: str) -> None:
    with Hub([HubRepo(REPO, content)], all_bytes_per_s=SPEED) as mirror:
        site = FetchSite(tmp_path, mirror)
        for case in (
            Case(site, TOKEN, env={"HF_TOKEN": TOKEN}, way=way),
            Case(site, TOKEN, env={"HF_TOKEN": TOKEN, "HF_ENDPOINT": mirror.endpoint}, endpoints=[], way=way),
        ):
            code, output, complaint, watch = case.run()
            assert code == 0, complaint
            require_fetched(output, content)
            case._search(output + complaint, watch)
            assert mirror.requests()
            assert not any(seen.authorized for seen in mirror.requests())


@pytest.mark.parametrize("way", ["ranged", "hf_transfer", "hub"])
@pytest.mark.parametrize("given", ["HF_ENDPOINT", "netrc"])
def test_a_mirror_behind_a_password(tmp_path: Path, content: Path, way: str, given: str) -> None:
    with Hub([HubRepo(REPO, content)], basic_auth=("ann", PASSWORD), all_bytes_per_s=SPEED) as mirror:
        if given == "netrc":
            netrc = tmp_path / "netrc"
            netrc.write_text(f"machine 127.0.0.1 login ann password {PASSWORD}\n")
            case = Case(FetchSite(tmp_path, mirror), PASSWORD, env={"NETRC": str(netrc)}, own=[netrc], way=way)
        else:
            address = mirror.endpoint.replace("://", f"://ann:{quote(PASSWORD, '')}@")
            case = Case(FetchSite(tmp_path, mirror), PASSWORD, env={"HF_ENDPOINT": address}, endpoints=[], way=way)
        case.require_secret(content)
        header = base64.b64encode(f"ann:{PASSWORD}".encode()).decode()
        if given == "HF_ENDPOINT":  # a host of .netrc has no port: its CDN on another port is the same one there
            require_only_to(mirror, f"Basic {header}", [])


@pytest.mark.parametrize("way", ["ranged", "hub"])
@pytest.mark.parametrize("given", ["HF_TOKEN", "login", "--token-file"])
def test_the_token_of_the_hub_itself(tmp_path: Path, content: Path, way: str, given: str) -> None:
    """https://huggingface.co by its real name: a company's proxy leads to the Hub of the test bed, with its own TLS."""
    names = [f"DNS:{REAL.partition(':')[0]}", f"DNS:{REAL_CDN}"]
    authority = Authority.make(tmp_path / "authority", names=names)
    with ExitStack() as stack:
        hub = Hub(
            [gated(content)],
            tokens=[TOKEN],
            tls=authority.context(),
            cdn_base=f"https://{REAL_CDN}",
            cookie="session=1; Path=/; Domain=huggingface.co",
            all_bytes_per_s=SPEED,
        )
        stack.enter_context(hub)
        routes = {REAL: hub.endpoint.rpartition("/")[2], f"{REAL_CDN}:443": hub.cdn.rpartition("/")[2]}
        proxy = stack.enter_context(Proxy(password=("bob", PASSWORD), routes=routes))
        site = FetchSite(tmp_path, hub)
        env = {"HTTPS_PROXY": proxy.address_for("bob", PASSWORD), "HF_HUB_DISABLE_XET": "1"}
        token = tmp_path / "home" / "hf" / "token" if given == "login" else tmp_path / "token"
        site.environment()  # makes the home
        token.parent.mkdir(parents=True, exist_ok=True)
        options = ["--ca-bundle", str(authority.certificate)]
        if given == "HF_TOKEN":
            env["HF_TOKEN"] = TOKEN
        else:
            token.write_text(TOKEN)
            options += ["--token-file", str(token)] if given == "--token-file" else []
        Case(site, TOKEN, options, env, [], [token], way).require_secret(content)
        require_only_to(hub, f"Bearer {TOKEN}", [])
        assert {asked.target for asked in proxy.let_through()} == set(routes)
        assert fingerprint(f"Bearer {TOKEN}") not in {asked.authorization for asked in proxy.asked}
        again = Case(site, PASSWORD, options, env, [], [token], way)
        code, output, complaint, watch = again.run()
        assert code == 0, complaint
        again._search(output + complaint, watch)


def test_a_git_server_with_lfs(tmp_path: Path, content: Path) -> None:
    """A password of ``~/.netrc``, which git reads itself; its CDN is another host."""
    (content / ".gitattributes").write_text("*.safetensors filter=lfs diff=lfs merge=lfs -text\n")
    with Hub([gated(content)], tokens=[TOKEN], cdn_host="127.0.0.2", all_bytes_per_s=SPEED) as hub:
        hub.faults.add(Fault("*/git-upload-pack", Kind.STALL, times=None, stall_s=3.0))  # git lives to be seen
        site = FetchSite(tmp_path, hub)
        recipe = site.recipe / "recipe.yaml"
        source = f"    sources: [ {{ git: '{hub.endpoint}/git/{REPO}.git' }} ]\n"
        recipe.write_text(recipe.read_text().replace("    revision: main\n", f"    revision: main\n{source}"))
        netrc = tmp_path / "home" / ".netrc"
        netrc.parent.mkdir()
        netrc.write_text(f"machine 127.0.0.1 login ann password {TOKEN}\n")
        netrc.chmod(0o600)
        case = Case(site, TOKEN, env={"HF_TOKEN": TOKEN}, endpoints=[], own=[netrc])
        code, output, complaint, watch = case.run()
        assert code == 0, complaint
        require_fetched(output, content)
        case._search(output + complaint, watch)
        assert watch.environments, "git was seen"
        header = base64.b64encode(f"ann:{TOKEN}".encode()).decode()
        require_only_to(hub, f"Basic {header}", [])
