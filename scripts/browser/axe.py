"""Looks for what keeps people from using the page, with axe-core: it is fetched by npm for the test, and no part of the program."""

import pathlib
import shutil
import subprocess
import tarfile
import tempfile

from local_ring import Wrong

VERSION = "4.10.3"
GRAVE = ("serious", "critical")


def source():
    """The text of axe."""
    if not shutil.which("npm"):
        raise Wrong("there is no npm to fetch axe-core with: install Node.js, or leave that test out with --without-axe")
    with tempfile.TemporaryDirectory() as folder:
        line = ["npm", "pack", f"axe-core@{VERSION}", "--silent", "--pack-destination", folder]
        fetched = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
        if fetched.returncode != 0:
            raise Wrong(f"axe-core could not be fetched: {fetched.stderr}")
        with tarfile.open(next(pathlib.Path(folder).glob("*.tgz"))) as packed:
            return packed.extractfile("package/axe.min.js").read().decode()


# What axe must find, so that it is known to look: a button without a name.
FAULT = "document.querySelector('main').append(Object.assign(document.createElement('button'), { id: 'fault' }))"


def must_look(browser, text):
    """Puts a fault into the page that is open, which axe has to find, and takes it away again."""
    browser.run(FAULT)
    found = findings(browser, text)
    browser.run("document.querySelector('#fault').remove()")
    if not any(name == "button-name" for _, name, *_ in found):
        raise Wrong(f"axe does not find a button without a name: {found}")


def findings(browser, text):
    """What is grave of what axe finds on the page that is open."""
    script = text + """
    ;return axe.run(document, { resultTypes: ['violations'] }).then((result) =>
      result.violations.map(({ id, impact, help, nodes }) => [impact, id, help, nodes.slice(0, 3).map(({ html, any }) => [html, any[0]?.message])]));
    """
    return [found for found in browser.run(script) if found[0] in GRAVE]
