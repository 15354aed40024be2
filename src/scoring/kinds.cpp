#include "scoring/kinds.h"

#include <algorithm>
#include <array>

#include "scoring/scorers.h"

namespace foregate::scoring {
namespace {

/// Most scorers need nothing but their tensors.
template <std::unique_ptr<Scorer> (*kMake)(PredictorIdentity, const Weights&)>
std::unique_ptr<Scorer> from_tensors(PredictorIdentity identity, const Weights& weights,
                                     const JsonReader& /*settings*/) {
  return kMake(std::move(identity), weights);
}

constexpr bool kYes = true;
constexpr bool kNo = false;

constexpr std::array<Kind, 11> kKinds = {{
    // name; next-token, layer-h, pre-attention; features; tokens; scorer
    {"random", kYes, kYes, kYes, kNo, kNo, from_tensors<make_random_scorer>},
    {"frequency", kYes, kYes, kYes, kNo, kNo, from_tensors<make_frequency_scorer>},
    {"previous-token", kYes, kNo, kNo, kNo, kNo, from_tensors<make_previous_token_scorer>},
    {"token-table", kYes, kNo, kNo, kNo, kYes, from_tensors<make_token_table_scorer>},
    {"transition", kNo, kYes, kNo, kNo, kNo, from_tensors<make_transition_scorer>},
    {"statistics", kYes, kYes, kNo, kNo, kYes, from_tensors<make_statistics_scorer>},
    {"transformer", kYes, kYes, kNo, kNo, kYes, make_transformer_scorer},
    {"next-gate", kNo, kYes, kYes, kYes, kNo, make_next_gate_scorer},
    {"gate-adapter", kNo, kYes, kYes, kYes, kNo, from_tensors<make_gate_adapter_scorer>},
    {"gate-mlp", kNo, kYes, kYes, kYes, kYes, from_tensors<make_gate_mlp_scorer>},
    {"mlp", kNo, kYes, kYes, kYes, kNo, from_tensors<make_mlp_scorer>},
}};

}  // namespace

bool Kind::supports(const Lead& lead) const {
  switch (lead.kind) {
    case Lead::Kind::kNextToken:
      return next_token;
    case Lead::Kind::kLayer:
      return layer;
    case Lead::Kind::kPreAttention:
      break;
  }
  return pre_attention;
}

std::span<const Kind> kinds() {
  return kKinds;
}

const Kind* find_kind(std::string_view name) {
  const auto* found = std::find_if(kKinds.begin(), kKinds.end(),
                                   [&](const Kind& kind) { return kind.name == name; });
  return found == kKinds.end() ? nullptr : found;
}

}  // namespace foregate::scoring
