#include "predict_options.h"

#include "engine/engine.h"
#include "hub/resolve.h"
#include "predict/registry.h"

namespace foregate {

std::optional<nn::Routers> routers_of_model(const std::string& model) {
  if (model.empty()) return std::nullopt;
  const std::filesystem::path directory =
      hub::find_model(model, {.files = {"config.json"}, .weights = true}, hub::read_environment());
  return engine::Engine(directory, {}).routers();
}

std::string predictor_list() {
  std::string list;
  for (const std::string& name : predict::predictor_names())
    list += (list.empty() ? "" : ", ") + name;
  return list;
}

}  // namespace foregate
