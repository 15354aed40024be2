#include "predict/live_origin.h"

#include <limits>
#include <nlohmann/json.hpp>

namespace foregate::predict {

Json LiveOrigin::to_json() const {
  Json datasets = Json::array();
  for (const Dataset& dataset : data) {
    Json entry = {{"name", dataset.name}, {"texts", dataset.texts}};
    if (!dataset.sha256.empty()) entry["sha256"] = dataset.sha256;
    datasets.push_back(std::move(entry));
  }
  return {{"data", datasets},
          {"max_length", max_length},
          {"model_dtype", model_dtype},
          {"quantization", quantization},
          {"tokenizer_sha256", tokenizer_sha256},
          {"buffer_tokens", buffer_tokens},
          {"training_tokens", training_tokens},
          {"passes", passes}};
}

LiveOrigin LiveOrigin::from_json(const JsonReader& reader) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  const auto count = [&](const char* key) { return reader.integer(key, 0, kMost); };
  LiveOrigin origin;
  for (const Json& entry : reader.array("data")) {
    const JsonReader dataset(entry, reader.where() + ": data");
    origin.data.push_back(
        {dataset.string("name"), dataset.integer("texts", 0, kMost), dataset.string("sha256", "")});
  }
  origin.max_length = count("max_length");
  origin.model_dtype = reader.string("model_dtype");
  origin.quantization = reader.string("quantization");
  origin.tokenizer_sha256 = reader.string("tokenizer_sha256");
  origin.buffer_tokens = count("buffer_tokens");
  origin.training_tokens = count("training_tokens");
  origin.passes = count("passes");
  return origin;
}

}  // namespace foregate::predict
