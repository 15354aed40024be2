#include "text/tokenizer/normalizer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "text/tokenizer/normalizer_steps.h"

namespace foregate::text {

Normalizer Normalizer::from_json(const Json& json, const std::string& where) {
  Normalizer normalizer;
  if (!json.is_null()) normalizer.add(json, where + ": normalizer");
  return normalizer;
}

void Normalizer::add(const Json& json, const std::string& where) {
  const JsonReader reader(json, where);
  const std::string type = reader.string("type");
  if (type == "Sequence") {
    for (const Json& part : reader.array("normalizers")) add(part, where);
    return;
  }
  steps_.push_back(make_normalizer_step(reader));
  description_ += (description_.empty() ? "" : ", ") + type;
}

std::string_view Normalizer::normalize(std::string_view text, std::string& storage) const {
  std::string result;
  for (const auto& step : steps_) {
    if (!step->apply(text, result)) continue;
    storage.swap(result);
    text = storage;
  }
  return text;
}

bool Normalizer::may_cut_front() const {
  return std::ranges::any_of(steps_, [](const auto& step) { return step->may_cut_front(); });
}

}  // namespace foregate::text
