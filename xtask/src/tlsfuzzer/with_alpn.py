"""Runs one script of tlsfuzzer: `python -c THIS CLONE SCRIPT ARGUMENT...`. Its clients of TLS 1.3 offer our protocol by
ALPN, without which nobody is served."""

import os
import runpy
import sys

clone, script = sys.argv[1:3]
sys.argv = [script] + sys.argv[3:]
sys.path.insert(0, clone)

from tlsfuzzer.messages import ClientHelloGenerator
from tlslite.constants import ExtensionType
from tlslite.extensions import ALPNExtension

without_alpn = ClientHelloGenerator._generate_extensions


def with_alpn(self, state):
    extensions = without_alpn(self, state)
    if ExtensionType.supported_versions not in self.extensions or ExtensionType.alpn in self.extensions:
        return extensions
    # In front: the last place is that of a pre-shared key.
    return [ALPNExtension().create([bytearray(b"ringpost/1")])] + extensions


ClientHelloGenerator._generate_extensions = with_alpn
runpy.run_path(os.path.join(clone, "scripts", script), run_name="__main__")
