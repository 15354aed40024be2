#include "nn/routers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "tensor/files/safetensors.h"
#include "trace/features.h"

namespace foregate::nn {
namespace {

void require_shape(const torch::Tensor& tensor, at::IntArrayRef shape, const char* name,
                   const std::string& where) {
  if (tensor.sizes() == shape && tensor.scalar_type() == torch::kFloat32) return;
  throw DataError(fmt::format(
      "{}: tensor \"{}\" is {} [{}]; expected float32 [{}] as the trace's geometry says", where,
      name, c10::toString(tensor.scalar_type()), fmt::join(tensor.sizes(), ", "),
      fmt::join(shape, ", ")));
}

double read_epsilon(const tensor::SafetensorsFile& file) {
  const auto found = file.metadata().find(trace::features::kNormEpsilon);
  const double epsilon = found == file.metadata().end() ? 0 : std::atof(found->second.c_str());
  if (epsilon > 0) return epsilon;
  throw DataError(fmt::format("{}: metadata \"{}\" is missing or not a positive number",
                              file.path().string(), trace::features::kNormEpsilon));
}

RouterSpec read_spec(const tensor::SafetensorsFile& file) {
  const auto found = file.metadata().find(trace::features::kRouterSpec);
  if (found == file.metadata().end()) return {};
  const std::string where =
      fmt::format("{}: metadata \"{}\"", file.path().string(), trace::features::kRouterSpec);
  const Json json = parse_json(found->second, where);
  return trace::router_spec_from_json(JsonReader(json, where));
}

// Copies: the tensors outlive the mapping's usefulness and are small.
torch::Tensor read_bias(const tensor::SafetensorsFile& file, const char* name) {
  return file.find(name) == nullptr ? torch::Tensor() : file.tensor(name).clone();
}

}  // namespace

RouterBiases Routers::biases(int64_t layer) const {
  const auto of = [&](const torch::Tensor& all) { return all.defined() ? all[layer] : all; };
  return {of(logit_bias), of(choice_bias)};
}

bool Routers::choose_highest_logits() const {
  return spec.top_groups == spec.groups && !logit_bias.defined() && !choice_bias.defined();
}

void require_routers_fit(const Routers& routers, const trace::Geometry& geometry,
                         const std::string& where) {
  const int64_t layers = geometry.num_moe_layers;
  const int64_t experts = geometry.num_experts;
  const int64_t hidden = geometry.hidden_size;
  require_shape(routers.weight, {layers, experts, hidden}, trace::features::kRouterWeight, where);
  require_shape(routers.norm_weight, {layers, hidden}, trace::features::kNormWeight, where);
  if (routers.logit_bias.defined()) {
    require_shape(routers.logit_bias, {layers, experts}, trace::features::kLogitBias, where);
  }
  if (routers.choice_bias.defined()) {
    require_shape(routers.choice_bias, {layers, experts}, trace::features::kChoiceBias, where);
  }
  trace::check_router_spec(routers.spec, experts, geometry.top_k, where);
}

void save_routers(const std::filesystem::path& trace_directory, const Routers& routers) {
  std::vector<std::pair<std::string, torch::Tensor>> tensors = {
      {trace::features::kRouterWeight, routers.weight},
      {trace::features::kNormWeight, routers.norm_weight}};
  if (routers.logit_bias.defined()) {
    tensors.emplace_back(trace::features::kLogitBias, routers.logit_bias);
  }
  if (routers.choice_bias.defined()) {
    tensors.emplace_back(trace::features::kChoiceBias, routers.choice_bias);
  }
  tensor::write_safetensors(
      trace_directory / trace::features::kRoutersFile, tensors,
      {{trace::features::kNormEpsilon, fmt::format("{}", routers.norm_epsilon)},
       {trace::features::kRouterSpec, trace::router_spec_to_json(routers.spec).dump()}});
}

std::optional<Routers> load_routers(const std::filesystem::path& trace_directory,
                                    const trace::Geometry& geometry) {
  const auto path = trace_directory / trace::features::kRoutersFile;
  if (!std::filesystem::exists(path)) return std::nullopt;
  const tensor::SafetensorsFile file(path);
  Routers routers{.weight = file.tensor(trace::features::kRouterWeight).clone(),
                  .norm_weight = file.tensor(trace::features::kNormWeight).clone(),
                  .norm_epsilon = read_epsilon(file),
                  .spec = read_spec(file),
                  .logit_bias = read_bias(file, trace::features::kLogitBias),
                  .choice_bias = read_bias(file, trace::features::kChoiceBias)};
  require_routers_fit(routers, geometry, path.string());
  return routers;
}

}  // namespace foregate::nn
