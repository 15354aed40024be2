#include "engine/trace_geometry.h"

namespace foregate::engine {

trace::Geometry geometry_of(const models::ModelConfig& config) {
  return {.num_moe_layers = static_cast<int>(config.moe_layers.size()),
          .num_experts = static_cast<int>(config.num_experts),
          .top_k = static_cast<int>(config.top_k),
          .hidden_size = static_cast<int>(config.hidden_size),
          .vocab_size = static_cast<int>(config.vocab_size),
          .num_decoder_layers = static_cast<int>(config.num_layers),
          .moe_layers = config.moe_layers};
}

}  // namespace foregate::engine
