#include "scoring/lead.h"

#include <fmt/format.h>

#include <charconv>

#include "base/error.h"

namespace foregate::scoring {
namespace {

constexpr std::string_view kLayerPrefix = "layer-";

/// The h of "layer-h", 0 if the text is not of that form.
int parse_distance(std::string_view text) {
  if (!text.starts_with(kLayerPrefix)) return 0;
  text.remove_prefix(kLayerPrefix.size());
  int distance = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), distance);
  const bool whole = error == std::errc() && stop == text.data() + text.size();
  return whole && distance >= 1 ? distance : 0;
}

}  // namespace

Lead parse_lead(std::string_view text) {
  if (text == "next-token") return Lead::next_token();
  if (text == "pre-attention") return Lead::pre_attention();
  if (const int distance = parse_distance(text); distance > 0) return Lead::layer(distance);
  throw UsageError(fmt::format(
      "lead '{}' is not known; expected next-token, layer-1, layer-2, ... or pre-attention", text));
}

std::string lead_name(const Lead& lead) {
  switch (lead.kind) {
    case Lead::Kind::kNextToken:
      return "next-token";
    case Lead::Kind::kLayer:
      return fmt::format("{}{}", kLayerPrefix, lead.distance);
    case Lead::Kind::kPreAttention:
      break;
  }
  return "pre-attention";
}

void require_lead_fits(const Lead& lead, const trace::Geometry& geometry) {
  if (lead.first_layer() < geometry.num_moe_layers) return;
  throw UsageError(
      fmt::format("lead {} needs more than {} MoE layers, the model has {}; choose a shorter lead",
                  lead_name(lead), lead.distance, geometry.num_moe_layers));
}

}  // namespace foregate::scoring
