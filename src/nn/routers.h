#pragma once

#include <torch/types.h>

#include <filesystem>
#include <optional>
#include <string>

#include "nn/router.h"
#include "trace/geometry.h"

namespace foregate::nn {

/// The routers of a model, from its checkpoint or recorded with a trace: what the own-router
/// control recomputes decisions with, and what next-gate, gate-adapter and gate-mlp start from.
struct Routers {
  torch::Tensor weight;       ///< [L, E, H] float32, CPU
  torch::Tensor norm_weight;  ///< [L, H] float32, CPU: the RMSNorm in front of each router
  double norm_epsilon = 0;
  RouterSpec spec{};
  torch::Tensor logit_bias{};   ///< [L, E] float32, CPU; undefined without one
  torch::Tensor choice_bias{};  ///< [L, E] float32, CPU; undefined without one

  /// Of one MoE layer.
  RouterBiases biases(int64_t layer) const;
  /// Whether a decision is the k highest logits, so that logits are scores that predict it.
  bool choose_highest_logits() const;
};

/// Throws DataError naming `where` if the shapes are not the geometry's, or the spec does not fit
/// it.
void require_routers_fit(const Routers& routers, const trace::Geometry& geometry,
                         const std::string& where);

/// Writes routers.safetensors of a trace directory: see trace/features.h.
void save_routers(const std::filesystem::path& trace_directory, const Routers& routers);

/// routers.safetensors of a trace directory; nothing if there is none. One without a spec is from
/// before there were others than softmax. Throws DataError if it is broken or does not fit the
/// geometry.
std::optional<Routers> load_routers(const std::filesystem::path& trace_directory,
                                    const trace::Geometry& geometry);

}  // namespace foregate::nn
