#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace foregate::trace {

/// Shape of a model's routing: what a trace needs to know about the model that made it.
struct Geometry {
  int num_moe_layers = 0;       ///< L, MoE layers with a recorded decision
  int num_experts = 0;          ///< E, experts per MoE layer (shared experts not counted), <= 65536
  int top_k = 0;                ///< k, experts per decision
  int hidden_size = 0;          ///< H; 0 if unknown (imported traces)
  int vocab_size = 0;           ///< 0 if unknown
  int num_decoder_layers = 0;   ///< 0 if unknown
  std::vector<int> moe_layers;  ///< [L] decoder layer index of each MoE layer

  bool operator==(const Geometry&) const = default;
};

/// One text's complete routing record. All arrays are dense, in the orders given.
struct Trace {
  std::string dataset;
  int64_t sample = 0;                   ///< row in its source
  int32_t prompt_tokens = 0;            ///< equal to num_tokens() for pure prefill
  std::vector<int32_t> token_ids;       ///< [n]
  std::vector<uint16_t> experts;        ///< [n][L][k], ranked by gate weight, largest first
  std::vector<uint16_t> gate_weights;   ///< [n][L][k] binary16 bits; empty if unknown (imports)
  std::vector<uint16_t> router_logits;  ///< [n][L][E] binary16 bits; empty unless recorded

  int32_t num_tokens() const { return static_cast<int32_t>(token_ids.size()); }
  bool operator==(const Trace&) const = default;
};

}  // namespace foregate::trace
