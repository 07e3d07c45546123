"""Outer products that are never multiplied out, as gradients of a last layer are.

n  vectors    a, b  widths of their left and right factors
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

Array = np.ndarray

ROWS = 4096
"""How many rows are widened to float64 at a time."""

CELLS = 1 << 22
"""How many entries of a matrix of pairs are held at a time."""


@dataclass(frozen=True)
class Outer:
    """n vectors left_i ⊗ right_i, kept as their factors left [n, a] and right [n, b].

    Products follow from <l ⊗ r, l' ⊗ r'> = <l, l'> <r, r'>, so no vector of a·b numbers is made.

    >>> vectors = Outer(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]))  # [3, 4, 6, 8] flattened
    >>> vectors.squares()
    array([125.])
    """

    left: Array
    right: Array

    @classmethod
    def of(cls, vectors: Array) -> "Outer":
        """Plain vectors [n, b], as products with 1."""
        return cls(np.ones((len(vectors), 1)), vectors)

    def __len__(self) -> int:
        return len(self.left)

    def take(self, members: Array) -> "Outer":
        """The vectors at these indices."""
        return Outer(self.left[members], self.right[members])

    def unit(self) -> "Outer":
        """The vectors scaled to length one, in float32; zero vectors stay zero."""
        return Outer(_unit(self.left), _unit(self.right))

    def wide(self) -> "Outer":
        """The same vectors in float64."""
        return Outer(self.left.astype(np.float64), self.right.astype(np.float64))

    def inner(self, columns: Array) -> Array:
        """[n, len(columns)]: the products of every vector with those at these indices."""
        products: Array = (self.left @ self.left[columns].T) * (self.right @ self.right[columns].T)
        return products

    def squares(self) -> Array:
        """[n] float64: the squared lengths."""
        lengths: Array = squares(self.left) * squares(self.right)
        return lengths

    def total(self, weights: Array | None = None) -> Array:
        """[a, b] float64: the sum of all vectors, weighted or not, as a matrix."""
        left = self.left if weights is None else self.left * weights[:, None]
        whole = np.zeros((left.shape[1], self.right.shape[1]))
        for at in blocks(len(self)):
            whole += left[at].astype(np.float64).T @ self.right[at].astype(np.float64)
        return whole

    def against(self, matrix: Array) -> Array:
        """[n] float64: the product of every vector with another, given as a matrix [a, b]."""
        return np.concatenate(
            [
                np.einsum(
                    "na,na->n",
                    self.left[at].astype(np.float64),
                    self.right[at].astype(np.float64) @ matrix.T,
                )
                for at in blocks(len(self))
            ]
        )


def blocks(count: int) -> Iterator[slice]:
    """Slices that cut `count` rows into parts small enough to widen at once."""
    return (slice(begin, begin + ROWS) for begin in range(0, count, ROWS))


def squares(matrix: Array) -> Array:
    """[n] float64: the squared lengths of the rows."""
    parts = [matrix[at].astype(np.float64) for at in blocks(len(matrix))]
    return np.concatenate([np.einsum("nd,nd->n", part, part) for part in parts])


def _unit(matrix: Array) -> Array:
    lengths = np.sqrt(squares(matrix))[:, None]
    lengths[lengths == 0] = 1
    scaled = np.empty(matrix.shape, np.float32)
    for at in blocks(len(matrix)):
        scaled[at] = matrix[at] / lengths[at]
    return scaled


def column_blocks(columns: Array, rows: int) -> Iterator[Array]:
    """The columns in parts, so that a matrix of `rows` rows and one part's columns stays small."""
    size = max(16, CELLS // rows)
    return (columns[begin : begin + size] for begin in range(0, len(columns), size))
