#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "trace/geometry.h"

namespace foregate::trace {

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
