#include "trace/parquet/validate.h"

#include <fmt/format.h>

#include <climits>

#include "base/half.h"
#include "trace/parquet/schema.h"

namespace foregate::trace {
namespace {

constexpr uint16_t kLargestHalf = 0x7bff;  // All patterns up to here are finite and not negative.

/// "token 3, MoE layer 1" for a position in a [token][layer][width] list.
std::string place(size_t index, const Geometry& geometry, int width) {
  const size_t decision = index / static_cast<size_t>(width);
  const auto layers = static_cast<size_t>(geometry.num_moe_layers);
  const size_t layer = decision % layers;
  const int in_model = geometry.moe_layers[layer];
  return fmt::format(
      "token {}, MoE layer {}{}", decision / layers, layer,
      static_cast<size_t>(in_model) == layer ? "" : fmt::format(" (decoder layer {})", in_model));
}

std::string token_problem(const Trace& trace, const Geometry& geometry) {
  const int32_t end = geometry.vocab_size > 0 ? geometry.vocab_size : INT_MAX;
  for (size_t i = 0; i < trace.token_ids.size(); ++i) {
    if (trace.token_ids[i] >= 0 && trace.token_ids[i] < end) continue;
    return fmt::format("'{}' has {} at token {}; expected ids of a vocabulary of {}",
                       schema::kTokenIds, trace.token_ids[i], i, end);
  }
  return "";
}

std::string expert_problem(const Trace& trace, const Geometry& geometry) {
  const auto k = static_cast<size_t>(geometry.top_k);
  for (size_t first = 0; first < trace.experts.size(); first += k) {
    const uint16_t* decision = trace.experts.data() + first;
    for (size_t rank = 0; rank < k; ++rank) {
      if (decision[rank] >= geometry.num_experts) {
        return fmt::format("'{}' has expert {} at {}; expected less than {}", schema::kExperts,
                           decision[rank], place(first, geometry, geometry.top_k),
                           geometry.num_experts);
      }
      for (size_t other = 0; other < rank; ++other) {
        if (decision[rank] != decision[other]) continue;
        return fmt::format("'{}' has expert {} twice at {}; expected {} different ones",
                           schema::kExperts, decision[rank], place(first, geometry, geometry.top_k),
                           k);
      }
    }
  }
  return "";
}

std::string weight_problem(const Trace& trace, const Geometry& geometry) {
  const auto k = static_cast<size_t>(geometry.top_k);
  for (size_t i = 0; i < trace.gate_weights.size(); ++i) {
    const uint16_t weight = trace.gate_weights[i];
    if (weight > kLargestHalf) {
      return fmt::format("'{}' has {} at {}; expected a finite number that is not negative",
                         schema::kGateWeights, half_to_float(weight),
                         place(i, geometry, geometry.top_k));
    }
    // Bit patterns of halves that are not negative are ordered like their values.
    if (i % k != 0 && weight > trace.gate_weights[i - 1]) {
      return fmt::format("'{}' has {} behind {} at {}; expected the largest first",
                         schema::kGateWeights, half_to_float(weight),
                         half_to_float(trace.gate_weights[i - 1]),
                         place(i, geometry, geometry.top_k));
    }
  }
  return "";
}

std::string logit_problem(const Trace& trace, const Geometry& geometry) {
  for (size_t i = 0; i < trace.router_logits.size(); ++i) {
    if ((trace.router_logits[i] & 0x7fff) <= kLargestHalf) continue;
    return fmt::format("'{}' has {} at {}; expected a finite number", schema::kRouterLogits,
                       half_to_float(trace.router_logits[i]),
                       place(i, geometry, geometry.num_experts));
  }
  return "";
}

}  // namespace

std::string size_problem(const Trace& trace, int64_t num_tokens, const Geometry& geometry,
                         TraceColumns columns) {
  if (num_tokens < 1 || num_tokens > INT_MAX) {
    return fmt::format("'{}' is {}; expected at least 1", schema::kNumTokens, num_tokens);
  }
  if (trace.prompt_tokens < 0 || trace.prompt_tokens > num_tokens) {
    return fmt::format("'{}' is {}; expected 0 to {} = {}", schema::kPromptTokens,
                       trace.prompt_tokens, schema::kNumTokens, num_tokens);
  }
  const auto length_problem = [&](const char* column, size_t found, int64_t width,
                                  const char* product) -> std::string {
    if (static_cast<int64_t>(found) == num_tokens * width) return "";
    return fmt::format("'{}' has {} values; expected {} ({} tokens{})", column, found,
                       num_tokens * width, num_tokens, product);
  };
  const int64_t layers = geometry.num_moe_layers;
  std::string problem;
  if (columns.token_ids) {
    problem = length_problem(schema::kTokenIds, trace.token_ids.size(), 1, "");
  }
  if (problem.empty() && columns.experts) {
    problem = length_problem(schema::kExperts, trace.experts.size(), layers * geometry.top_k,
                             " x MoE layers x top_k");
  }
  if (problem.empty() && columns.gate_weights) {
    problem = length_problem(schema::kGateWeights, trace.gate_weights.size(),
                             layers * geometry.top_k, " x MoE layers x top_k");
  }
  if (problem.empty() && columns.router_logits) {
    problem = length_problem(schema::kRouterLogits, trace.router_logits.size(),
                             layers * geometry.num_experts, " x MoE layers x experts");
  }
  return problem;
}

std::string value_problem(const Trace& trace, const Geometry& geometry) {
  for (const auto check : {token_problem, expert_problem, weight_problem, logit_problem}) {
    std::string problem = check(trace, geometry);
    if (!problem.empty()) return problem;
  }
  return "";
}

}  // namespace foregate::trace
