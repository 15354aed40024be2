#pragma once

#include <torch/types.h>

#include <map>
#include <memory>
#include <string>

#include "predict/texts/routed_texts.h"

namespace foregate::predict {

/// Counts over the routing of the training texts: all that the counting predictors are made of.
struct RoutingCounts {
  /// How many earlier MoE layers are related to each layer. More gained nothing on the models
  /// measured.
  static constexpr int kWindow = 8;
  /// Chosen experts kept in `decisions`, or so: 128 MiB.
  static constexpr int64_t kMaxDecisions = 1 << 26;
  /// Decisions kept of a pair of ids, the first ones, and of all pairs: bounds the table for large
  /// traces.
  static constexpr int64_t kPairOccurrences = 16;
  static constexpr int64_t kMaxPairTokens = 1 << 20;

  int64_t tokens = 0;
  torch::Tensor experts;  ///< [L, E] int32: tokens that chose e
  torch::Tensor first;    ///< [L, E] int32: tokens whose highest-weighted expert was e

  torch::Tensor ids;             ///< [S] int64, ascending: the token ids seen
  torch::Tensor id_tokens;       ///< [S] int32: how often
  torch::Tensor id_experts;      ///< [S, L, E] int32: of these, tokens that chose e
  torch::Tensor id_first;        ///< [S, L, E] int32: of these, tokens that chose e first
  torch::Tensor before_tokens;   ///< [S] int32: tokens that followed the id
  torch::Tensor before_experts;  ///< [S, L, E] int32: of these, tokens that chose e

  /// Pairs of ids that followed each other, pair_id(), and the decisions of the later one; see
  /// scoring::PairTable. Pair p's are rows pair_begin[p] to pair_begin[p + 1] of pair_experts.
  torch::Tensor pair_ids;      ///< [P] int64, ascending
  torch::Tensor pair_begin;    ///< [P + 1] int64
  torch::Tensor pair_experts;  ///< [M, L, k] int16

  /// Decisions of training tokens, of all or of those of a random share of the texts: what the
  /// counts above do not relate is counted from these, see count_paths().
  torch::Tensor decisions;  ///< [N, L, k] int16

  torch::Tensor previous;     ///< [L, E, E] int32: tokens that chose b after one that chose a
  torch::Tensor transitions;  ///< [L, W, E, E] int32: tokens that chose b at l and a at l-1-w
};

/// Counts the training split in one pass.
RoutingCounts count_routing(const RoutedTexts& corpus);

/// The counts of a corpus' training split, made when first asked for and then shared.
class SharedCounts {
 public:
  explicit SharedCounts(const RoutedTexts& corpus) : corpus_(corpus) {}
  const RoutingCounts& get();
  /// The tensors of a scoring::PathTable for lead layer-`distance`.
  const std::map<std::string, torch::Tensor>& paths(int distance);

 private:
  const RoutedTexts& corpus_;
  std::unique_ptr<RoutingCounts> counts_;
  std::map<int, std::map<std::string, torch::Tensor>> paths_;
};

}  // namespace foregate::predict
