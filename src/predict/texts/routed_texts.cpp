#include "predict/texts/routed_texts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>

#include "base/error.h"
#include "base/hash.h"
#include "predict/training/loss.h"

namespace foregate::predict {

void RoutedTexts::require_features(const std::string& who) const {
  if (has_features()) return;
  throw DataError(fmt::format(
      "{} reads hidden states, and the trace {} has none; collect it with --record features", who,
      name()));
}

void RoutedTexts::require_gate_weights(const std::string& who) const {
  if (has_gate_weights()) return;
  throw DataError(
      fmt::format("{} is to be trained by a loss that reads gate weights, and the trace {} has "
                  "none; set \"loss\" to \"{}\"",
                  who, name(), loss_name(Loss::kBinary)));
}

void RoutedTexts::set_routers(nn::Routers routers, const std::string& where) {
  require_routers_fit(routers, geometry(), where);
  routers_ = std::move(routers);
}

std::vector<uint64_t> hashes_learned_from(const RoutedTexts& texts) {
  std::vector<uint64_t> hashes;
  for (const trace::Split split : {trace::Split::kTrain, trace::Split::kValidation}) {
    texts.for_each({.split = split}, [&](const RoutedText& text) { hashes.push_back(text.hash); });
  }
  return hashes;
}

uint64_t hash_of(const std::vector<int32_t>& token_ids) {
  const auto* bytes = reinterpret_cast<const char*>(token_ids.data());
  return stable_hash({bytes, token_ids.size() * sizeof(int32_t)});
}

void hold_out_dataset(std::vector<trace::Split>& splits, const std::vector<std::string>& datasets,
                      const std::string& held_out) {
  const std::set<std::string> names(datasets.begin(), datasets.end());
  if (!names.contains(held_out) || names.size() < 2) {
    throw UsageError(
        fmt::format("--hold-out {}: expected one of at least two datasets; there are: {}", held_out,
                    fmt::join(names, ", ")));
  }
  for (size_t i = 0; i < splits.size(); ++i) {
    if (datasets[i] == held_out) {
      splits[i] = trace::Split::kTest;
    } else if (splits[i] == trace::Split::kTest) {
      splits[i] = trace::Split::kTrain;
    }
  }
}

}  // namespace foregate::predict
