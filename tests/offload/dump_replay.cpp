// Replays the texts of a JSON document on stdin and writes what every policy and size hits:
//   {"layers", "experts", "top_k", "texts": [[expert ids, n * L * k], ...], "prompt_tokens": [...],
//    "policies": [...], "slots": [...], "sequences", "cold", "prompt_batch", "threads"}

#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "offload/memory_texts.h"
#include "offload/replay/sweep.h"

namespace {

using foregate::Json;

Json count_json(const foregate::offload::HitCount& count) {
  return {{"requests", count.requests}, {"hits", count.hits}};
}

Json replay(const Json& input) {
  foregate::trace::Geometry geometry;
  geometry.num_moe_layers = input["layers"];
  geometry.num_experts = input["experts"];
  geometry.top_k = input["top_k"];
  const size_t width = static_cast<size_t>(geometry.num_moe_layers) * geometry.top_k;
  std::vector<foregate::trace::Trace> texts;
  for (const Json& experts : input["texts"]) {
    foregate::trace::Trace& text = texts.emplace_back();
    text.experts = experts.get<std::vector<uint16_t>>();
    text.token_ids.resize(text.experts.size() / width);
    text.prompt_tokens = input["prompt_tokens"][texts.size() - 1];
  }
  foregate::offload::SweepOptions options;
  for (const Json& name : input["policies"])
    options.policies.push_back(foregate::offload::parse_policy(name.get<std::string>()));
  options.slots = input["slots"].get<std::vector<int64_t>>();
  options.schedule = {input["sequences"], input["cold"], input["prompt_batch"]};
  options.curves = true;
  options.threads = input["threads"];
  foregate::testing::MemoryTexts source(std::move(texts));
  const foregate::offload::SweepResult result = foregate::offload::sweep(geometry, source, options);
  Json json = {{"texts", result.texts},
               {"tokens", result.tokens},
               {"steps", result.steps},
               {"requests", result.requests}};
  json["cells"] = Json::array();
  for (const foregate::offload::SweepCell& cell : result.cells) {
    json["cells"].push_back({{"policy", foregate::offload::policy_name(cell.policy)},
                             {"slots", cell.slots},
                             {"impossible", cell.impossible},
                             {"generated", count_json(cell.generated)},
                             {"prompt", count_json(cell.prompt)},
                             {"hits_by_layer", cell.hits_by_layer}});
  }
  for (const foregate::offload::SweepCurve& curve : result.curves)
    json["curves"][foregate::offload::policy_name(curve.policy)] = curve.hits;
  return json;
}

}  // namespace

int main() {
  try {
    const std::string text(std::istreambuf_iterator<char>(std::cin), {});
    std::cout << replay(foregate::parse_json(text, "stdin")).dump() << "\n";
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}
