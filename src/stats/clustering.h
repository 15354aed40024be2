#pragma once

#include <cstddef>
#include <vector>

namespace foregate::stats {

struct Merge {
  int first = 0;  ///< Cluster ids: below n an element, n + i the i-th merge; first < second.
  int second = 0;
  double height = 0;  ///< Mean distance between the elements of both
};

/// Agglomerative clustering with average linkage (UPGMA; Sokal and Michener 1958) of n elements.
/// `distances` [n][n] is symmetric. n - 1 merges, nearest first, ties by lowest ids. O(n^3).
std::vector<Merge> average_linkage(std::vector<double> distances, int n);

/// The elements as the leaves of the tree of merges, so that what belongs together is adjacent.
std::vector<int> leaf_order(const std::vector<Merge>& merges, int n);

}  // namespace foregate::stats
