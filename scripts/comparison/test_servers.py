"""Tests of how the servers are started that scripts/compare measures."""

import pathlib
import sys
import unittest

SCRIPTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(SCRIPTS), str(SCRIPTS / "tours")]
sys.dont_write_bytecode = True

from comparison.servers import RING_BITS, even_ports, position  # noqa: E402


class Servers(unittest.TestCase):
    def test_nodes_lie_where_the_program_says_that_they_do(self):
        # As /v1/node says of a node of that name.
        told = 1446210500941671982041661626731341242636966300885
        self.assertAlmostEqual(position("127.0.0.1:4567"), told / 2**RING_BITS)

    def test_nodes_own_about_equal_parts(self):
        for count in (1, 3, 5):
            places = sorted(position(f"127.0.0.1:{port}") for port in even_ports(count))
            self.assertEqual(len(set(places)), count)
            parts = [(after - at) % 1 or 1 for at, after in zip(places, places[1:] + places[:1])]
            self.assertGreater(min(parts), 0.8 / count, parts)
            self.assertLess(max(parts), 1.2 / count, parts)


if __name__ == "__main__":
    unittest.main()
