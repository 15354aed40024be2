#include "predict/predictor_store.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"
#include "predict/registry.h"
#include "tensor/dtype.h"
#include "tensor/files/safetensors.h"

namespace foregate::predict {
namespace {

constexpr const char* kSeenTexts = "seen_texts";

Json read_predictor_json(const std::filesystem::path& directory) {
  const auto path = directory / scoring::kPredictorFile;
  if (fs::exists(path)) return read_json(path);
  throw EnvironmentError(
      fmt::format("{} is not a predictor: it holds no {}; foregate train makes one",
                  directory.string(), scoring::kPredictorFile));
}

tensor::SafetensorsFile open_weights(const std::filesystem::path& directory,
                                     const JsonReader& reader) {
  const auto path = directory / scoring::kPredictorWeightsFile;
  const std::string expected = reader.string(scoring::kWeightsDigest);
  tensor::SafetensorsFile file(path);
  if (const std::string found = sha256_of_file(path); found != expected) {
    throw DataError(fmt::format(
        "{}: SHA-256 is {}, {} says {}; the two do not belong together, train the predictor again",
        path.string(), found, scoring::kPredictorFile, expected));
  }
  return file;
}

torch::Tensor hashes_tensor(const std::vector<uint64_t>& hashes) {
  torch::Tensor tensor = torch::empty({static_cast<int64_t>(hashes.size())}, torch::kInt64);
  std::copy(hashes.begin(), hashes.end(), tensor.mutable_data_ptr<int64_t>());
  return tensor;
}

}  // namespace

void save_predictor(const std::filesystem::path& directory, const Predictor& predictor,
                    const PredictorInfo& info, const std::vector<uint64_t>& seen_texts) {
  make_output_directory(directory);
  const auto path = directory / scoring::kPredictorWeightsFile;
  std::vector<std::pair<std::string, torch::Tensor>> tensors;
  for (const auto& [name, tensor] : predictor.weights()) tensors.emplace_back(name, tensor);
  tensors.emplace_back(kSeenTexts, hashes_tensor(seen_texts));
  tensor::write_safetensors(path, tensors);
  Json json = info.to_json();
  json[scoring::kWeightsDigest] = sha256_of_file(path);
  write_json_atomically(directory / scoring::kPredictorFile, json);
}

bool is_predictor_directory(const std::filesystem::path& directory) {
  return fs::exists(directory / scoring::kPredictorFile);
}

PredictorInfo read_predictor_info(const std::filesystem::path& directory) {
  const Json json = read_predictor_json(directory);
  return PredictorInfo::from_json(JsonReader(json, (directory / scoring::kPredictorFile).string()));
}

StoredPredictor load_predictor(const std::filesystem::path& directory) {
  const Json json = read_predictor_json(directory);
  const JsonReader reader(json, (directory / scoring::kPredictorFile).string());
  StoredPredictor stored;
  stored.info = PredictorInfo::from_json(reader);
  stored.predictor = make_predictor(stored.info.name, stored.info.lead, stored.info.geometry,
                                    reader.object("settings"));
  const tensor::SafetensorsFile file = open_weights(directory, reader);
  NamedTensors weights;
  for (const tensor::TensorEntry& entry : file.entries()) {
    weights[entry.name] = file.tensor(entry.name);
  }
  const std::string where = file.path().string();
  const torch::Tensor seen = take_weight(weights, kSeenTexts, {-1}, torch::kInt64, where);
  const auto* hashes = seen.const_data_ptr<int64_t>();
  stored.seen_texts.insert(hashes, hashes + seen.numel());
  weights.erase(kSeenTexts);
  stored.predictor->set_weights(weights, where);
  return stored;
}

Json describe_predictor(const std::filesystem::path& directory) {
  Json json = read_predictor_json(directory);
  const JsonReader reader(json, (directory / scoring::kPredictorFile).string());
  PredictorInfo::from_json(reader);
  const tensor::SafetensorsFile file = open_weights(directory, reader);
  Json tensors = Json::object();
  for (const tensor::TensorEntry& entry : file.entries()) {
    tensors[entry.name] = {{"dtype", tensor::dtype_name(entry.dtype)}, {"shape", entry.shape}};
  }
  json["tensors"] = std::move(tensors);
  return json;
}

}  // namespace foregate::predict
