#include "scoring/predictor_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/json.h"
#include "scoring/error.h"
#include "scoring/scorers.h"

namespace foregate::scoring {
namespace {

struct Kind {
  const char* name;
  bool next_token;  // leads it can predict at
  bool layer;
  bool pre_attention;
  std::unique_ptr<Scorer> (*make)(PredictorIdentity identity, WeightFile& weights);

  bool supports(const Lead& lead) const {
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
};

// What foregate has beyond these draws at random or is a network that libtorch runs.
constexpr std::array<Kind, 9> kKinds = {{
    {"frequency", true, true, true, make_frequency_scorer},
    {"previous-token", true, false, false, make_previous_token_scorer},
    {"token-table", true, false, false, make_token_table_scorer},
    {"transition", false, true, false, make_transition_scorer},
    {"statistics", true, true, false, make_statistics_scorer},
    {"next-gate", false, true, true, make_next_gate_scorer},
    {"gate-adapter", false, true, true, make_gate_adapter_scorer},
    {"gate-mlp", false, true, true, make_gate_mlp_scorer},
    {"mlp", false, true, true, make_mlp_scorer},
}};

const Kind& find_kind(const PredictorIdentity& identity, const std::string& where) {
  const auto* kind = std::find_if(kKinds.begin(), kKinds.end(), [&](const Kind& candidate) {
    return identity.name == candidate.name;
  });
  if (kind == kKinds.end()) {
    std::vector<const char*> names;
    for (const Kind& known : kKinds) names.push_back(known.name);
    throw UnsupportedError(
        fmt::format("{}: a predictor of kind \"{}\" does not run without foregate itself; this "
                    "library runs {}",
                    where, identity.name, fmt::join(names, ", ")));
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
  const Kind& kind = find_kind(identity, path.string());
  LoadedPredictor loaded;
  loaded.lead = lead_name(identity.lead);
  loaded.model = model_name(reader);
  loaded.calibration = read_calibration(reader);
  loaded.weights = std::make_unique<WeightFile>(directory / kPredictorWeightsFile,
                                                reader.string(kWeightsDigest));
  loaded.scorer = kind.make(identity, *loaded.weights);
  return loaded;
}

}  // namespace foregate::scoring
