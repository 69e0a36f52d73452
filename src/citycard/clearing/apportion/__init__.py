# SPDX-License-Identifier: Apache-2.0
"""Fair shares of seamless journeys (轨道交通清分): who carried a rider whom no gate saw change trains.

A rider enters at A and leaves at B; which lines were taken in between nobody knows. For every pair of
stations the reasonable paths are found (`paths`), each is given the probability that a rider takes it, and
the fare is divided among the operators by what they carried along them (`shares`). That is computed once for
each version of the network (`network`), kept as a table (`matrix`), and applied to all taps by a join.
"""

from citycard.clearing.apportion.matrix import Matrix, MatrixSharing, build
from citycard.clearing.apportion.network import Network, read_network
from citycard.clearing.apportion.paths import Graph, Path
from citycard.clearing.apportion.shares import Explained, explain

__all__ = [
    "Explained",
    "Graph",
    "Matrix",
    "MatrixSharing",
    "Network",
    "Path",
    "build",
    "explain",
    "read_network",
]
