"""The pytest plugin: its fixture in a user's tests, and what it costs everybody else."""

from __future__ import annotations

import importlib.metadata
import sys

import pytest

pytest_plugins = ["pytester"]

SERVER = """
    import telex

    app = telex.Application()

    @app.on("greet")
    def greet(message):
        return f"hello {message.content}"

    @app.on("fail")
    def fail(message):
        raise LookupError(f"no {message.content}")

    def ask(address, content, subject):
        with telex.sync.connect(address) as connection:
            return connection.request(content, subject=subject, timeout=10).content
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """Return a user's project, in which tests are yet to be written."""
    pytester.makepyfile(shop=SERVER)
    pytester.makepyprojecttoml("[tool.pytest.ini_options]\nfilterwarnings = ['error']")
    return pytester


def run(project: pytest.Pytester) -> pytest.RunResult:
    """Run the user's tests; the plugin has its name also where telex is not installed."""
    return project.runpytest_subprocess("-p", "pytest_telex", "-p", "no:cacheprovider")


def test_the_fixture_serves_an_application(project: pytest.Pytester) -> None:
    """Without an import, and once for each call."""
    project.makepyfile(
        test_shop="""
        from shop import app, ask

        def test_greet(telex_server):
            assert ask(telex_server(app), "you", "greet") == "hello you"
            assert ask(telex_server(app, front_end="asyncio"), "all", "greet") == "hello all"
        """
    )
    run(project).assert_outcomes(passed=1)


def test_a_handler_that_fails_is_an_error_of_the_test(project: pytest.Pytester) -> None:
    """Even if the test itself did not notice; the report shows where in the handler it was."""
    project.makepyfile(
        test_shop="""
        import pytest
        import telex
        from shop import app, ask

        def test_fail(telex_server):
            with pytest.raises(telex.RemoteError):
                ask(telex_server(app), "soap", "fail")

        def test_after_it(telex_server):
            assert ask(telex_server(app), "you", "greet") == "hello you"
        """
    )
    result = run(project)
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_fail*",
            '*shop.py", line *, in fail*',
            "*LookupError: no soap*",
        ]
    )


def test_a_failure_that_is_expected_is_none(project: pytest.Pytester) -> None:
    """A test takes it out of the fixture's list, and says what it must be."""
    project.makepyfile(
        test_shop="""
        import pytest
        import telex
        from shop import app, ask

        def test_fail(telex_server):
            with pytest.raises(telex.RemoteError):
                ask(telex_server(app), "soap", "fail")
            assert str(telex_server.failures.pop()) == "no soap"
        """
    )
    run(project).assert_outcomes(passed=1)


def test_who_does_not_ask_for_it_does_not_pay_for_it(project: pytest.Pytester) -> None:
    """Neither telex nor anything that it needs is loaded when pytest starts."""
    project.makepyfile(
        test_other="""
        import sys

        def test_nothing_is_loaded():
            assert "pytest_telex" in sys.modules
            assert [name for name in sys.modules if name.split(".")[0] == "telex"] == []
            assert "msgspec" not in sys.modules
        """
    )
    run(project).assert_outcomes(passed=1)


def test_telex_may_be_loaded_before_pytest(project: pytest.Pytester) -> None:
    """By a program that runs its tests itself: pytest warns of no assertions that it missed."""
    installed = project.mkdir("installed")
    about = installed / "telex-0.1.0.dist-info"  # of packages that are copied, not linked to
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: telex\nVersion: 0.1.0\n")
    (about / "entry_points.txt").write_text("[pytest11]\npytest_telex = pytest_telex\n")
    (about / "RECORD").write_text("pytest_telex/__init__.py,,\ntelex/__init__.py,,\n")
    program = project.makepyfile(
        program=f"""
        import sys

        sys.path[:0] = [{str(installed)!r}, *{list(filter(None, sys.path))!r}]

        import pytest
        import telex

        sys.exit(pytest.main(["-p", "no:cacheprovider", "-W", "error", "test_shop.py"]))
        """
    )
    project.makepyfile(
        test_shop="""
        from shop import app, ask

        def test_greet(telex_server):
            assert ask(telex_server(app), "you", "greet") == "hello you"
        """
    )
    result = project.runpython(program)
    result.assert_outcomes(passed=1)
    assert "rewritten" not in result.stdout.str() + result.stderr.str()


def test_the_plugin_is_found_by_itself_where_telex_is_installed() -> None:
    """By its entry point, under the name of its module: asking for it by name too is harmless."""
    try:
        entries = importlib.metadata.distribution("telex").entry_points
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("telex is on the path here, and not installed")
    assert [entry.value for entry in entries.select(group="pytest11")] == ["pytest_telex"]
    assert entries.select(group="pytest11").names == {"pytest_telex"}
