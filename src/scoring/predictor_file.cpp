#include "scoring/predictor_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "base/json.h"
#include "scoring/error.h"
#include "scoring/kinds.h"

namespace foregate::scoring {
namespace {

const Kind& kind_of(const PredictorIdentity& identity, const std::string& where) {
  const Kind* kind = find_kind(identity.name);
  if (kind == nullptr) {
    std::vector<const char*> names;
    for (const Kind& known : kinds()) names.push_back(known.name);
    throw UnsupportedError(
        fmt::format("{}: a predictor of kind \"{}\" is not known; this foregate runs {}", where,
                    identity.name, fmt::join(names, ", ")));
  }
  if (!kind->supports(identity.lead)) {
    throw DataError(fmt::format("{}: {} cannot predict at lead {}", where, identity.name,
                                lead_name(identity.lead)));
  }
  if (identity.lead.first_layer() >= identity.geometry.num_moe_layers) {
    throw DataError(fmt::format("{}: lead {} needs more than {} MoE layers, the model has {}",
                                where, lead_name(identity.lead), identity.lead.distance,
                                identity.geometry.num_moe_layers));
  }
  return *kind;
}

std::string model_name(const JsonReader& reader) {
  return reader.has("model") ? reader.object("model").string("name", "") : "";
}

}  // namespace

LoadedPredictor load_predictor(const fs::path& directory) {
  const fs::path path = directory / kPredictorFile;
  std::error_code error;
  if (!fs::exists(path, error)) {
    throw EnvironmentError(
        fmt::format("{} is not a predictor: it holds no {}; foregate train makes one",
                    directory.string(), kPredictorFile));
  }
  const Json json = read_json(path);
  const JsonReader reader(json, path.string());
  const PredictorIdentity identity = read_predictor_identity(reader);
  const Kind& kind = kind_of(identity, path.string());
  LoadedPredictor loaded;
  loaded.lead = lead_name(identity.lead);
  loaded.model = model_name(reader);
  loaded.calibration = read_calibration(reader);
  loaded.weights = std::make_unique<WeightFile>(directory / kPredictorWeightsFile,
                                                reader.string(kWeightsDigest));
  const Json none = Json::object();
  const JsonReader settings =
      reader.has("settings") ? reader.object("settings") : JsonReader(none, reader.where());
  loaded.scorer = kind.make_scorer(identity, *loaded.weights, settings);
  return loaded;
}

}  // namespace foregate::scoring
