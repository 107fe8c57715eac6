"""Sentences as a tree: those that begin alike share their first pieces, and a decoder looks at each piece once.

Two hundred classes in "a photo of a {}." have fourteen hundred pieces, but less than five hundred beginnings.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Tree:
    """Nodes are beginnings of sentences, each with its last piece and how many come before that; `sees` says which nodes are a
    node's own beginnings, itself among them. An edge is a piece that follows a node in some sentence; `belongs` says which
    edges a sentence is made of.
    """

    pieces: Int[Tensor, " nodes"]
    depths: Int[Tensor, " nodes"]
    sees: Bool[Tensor, "nodes nodes"]
    edge_nodes: Int[Tensor, " edges"]
    edge_pieces: Int[Tensor, " edges"]
    belongs: Float[Tensor, "edges sentences"]


def tree_of(sentences: Sequence[Sequence[int]]) -> Tree:
    """The tree of sentences of numbered pieces, each from its start to its end, which is no node: nothing follows it."""
    nodes, edges = dict[tuple[int, ...], int](), dict[tuple[int, int], int]()
    used = list[list[int]]()
    for sentence in sentences:
        own = []
        for length in range(1, len(sentence)):
            node = nodes.setdefault(tuple(sentence[:length]), len(nodes))
            own.append(edges.setdefault((node, sentence[length]), len(edges)))
        used.append(own)
    sees = torch.zeros(len(nodes), len(nodes), dtype=torch.bool)
    for beginning, node in nodes.items():
        sees[node, [nodes[beginning[:length]] for length in range(1, len(beginning) + 1)]] = True
    belongs = torch.zeros(len(edges), len(used))
    for column, own in enumerate(used):
        belongs[own, column] = 1
    return Tree(
        pieces=torch.tensor([beginning[-1] for beginning in nodes]),
        depths=torch.tensor([len(beginning) - 1 for beginning in nodes]),
        sees=sees,
        edge_nodes=torch.tensor([node for node, _ in edges]),
        edge_pieces=torch.tensor([piece for _, piece in edges]),
        belongs=belongs,
    )
