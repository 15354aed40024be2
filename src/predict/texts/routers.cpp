#include "predict/texts/routers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdlib>

#include "base/error.h"
#include "tensor/files/safetensors.h"
#include "trace/features.h"

namespace foregate::predict {
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

}  // namespace

void require_routers_fit(const Routers& routers, const trace::Geometry& geometry,
                         const std::string& where) {
  const int64_t layers = geometry.num_moe_layers;
  const int64_t hidden = geometry.hidden_size;
  require_shape(routers.weight, {layers, geometry.num_experts, hidden},
                trace::features::kRouterWeight, where);
  require_shape(routers.norm_weight, {layers, hidden}, trace::features::kNormWeight, where);
}

std::optional<Routers> load_routers(const std::filesystem::path& trace_directory,
                                    const trace::Geometry& geometry) {
  const auto path = trace_directory / trace::features::kRoutersFile;
  if (!fs::exists(path)) return std::nullopt;
  const tensor::SafetensorsFile file(path);
  // Copies: the tensors outlive the mapping's usefulness and are small.
  Routers routers{file.tensor(trace::features::kRouterWeight).clone(),
                  file.tensor(trace::features::kNormWeight).clone(), read_epsilon(file)};
  require_routers_fit(routers, geometry, path.string());
  return routers;
}

}  // namespace foregate::predict
