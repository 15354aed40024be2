#pragma once

#include <torch/types.h>

#include <filesystem>
#include <optional>
#include <string>

#include "trace/trace.h"

namespace foregate::predict {

/// The target model's own routers: what the control recomputes decisions with, and what next-gate,
/// gate-adapter and gate-mlp start from.
struct Routers {
  torch::Tensor weight;       ///< [L, E, H] float32, CPU
  torch::Tensor norm_weight;  ///< [L, H] float32, CPU: the RMSNorm in front of each router
  double norm_epsilon = 0;
};

/// Throws DataError naming `where` if the shapes are not the geometry's.
void require_routers_fit(const Routers& routers, const trace::Geometry& geometry,
                         const std::string& where);

/// routers.safetensors of a trace directory; nothing if there is none. Throws DataError if it is
/// broken or does not fit the geometry.
std::optional<Routers> load_routers(const std::filesystem::path& trace_directory,
                                    const trace::Geometry& geometry);

}  // namespace foregate::predict
