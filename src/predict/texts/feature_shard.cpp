#include "predict/texts/feature_shard.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "tensor/dtype.h"
#include "trace/features.h"

namespace foregate::predict {
namespace {

torch::Tensor index_tensor(const tensor::SafetensorsFile& file, const char* name) {
  torch::Tensor tensor = file.tensor(name);
  if (tensor.scalar_type() == torch::kInt64 && tensor.dim() == 1) return tensor;
  throw DataError(fmt::format("{}: tensor \"{}\" is {} with {} dimensions; expected int64 with one",
                              file.path().string(), name, tensor::dtype_name(tensor.scalar_type()),
                              tensor.dim()));
}

}  // namespace

FeatureShard::FeatureShard(const std::filesystem::path& file, const trace::Geometry& geometry,
                           int64_t shard_rows)
    : file_(file),
      router_inputs_(states(trace::features::kRouterInputs, geometry)),
      residual_(states(trace::features::kResidual, geometry)) {
  read_ranges(shard_rows);
}

torch::Tensor FeatureShard::states(const char* name, const trace::Geometry& geometry) const {
  torch::Tensor tensor = file_.tensor(name);
  const bool shaped = tensor.dim() == 3 && tensor.size(1) == geometry.num_moe_layers &&
                      tensor.size(2) == geometry.hidden_size;
  if (shaped && tensor.is_floating_point() && tensor.element_size() <= 4) return tensor;
  throw DataError(fmt::format(
      "{}: tensor \"{}\" is {} [{}]; expected float32, bfloat16 or float16 [tokens, {}, {}] as the "
      "manifest's geometry says",
      path().string(), name, tensor::dtype_name(tensor.scalar_type()),
      fmt::join(tensor.sizes(), ", "), geometry.num_moe_layers, geometry.hidden_size));
}

void FeatureShard::read_ranges(int64_t shard_rows) {
  const torch::Tensor rows = index_tensor(file_, trace::features::kRows);
  const torch::Tensor offsets = index_tensor(file_, trace::features::kOffsets);
  const int64_t texts = rows.size(0);
  const auto fail = [&](const std::string& what) {
    throw DataError(fmt::format("{}: {}; record the trace again", path().string(), what));
  };
  if (offsets.size(0) != texts + 1) {
    fail(fmt::format("{} rows but {} offsets; expected one more offset than rows", texts,
                     offsets.size(0)));
  }
  const int64_t* row = rows.const_data_ptr<int64_t>();
  const int64_t* offset = offsets.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < texts; ++i) {
    if (row[i] < 0 || row[i] >= shard_rows || (i > 0 && row[i] <= row[i - 1])) {
      fail(fmt::format("rows[{}] is {}; expected rising rows of the shard's {}", i, row[i],
                       shard_rows));
    }
    if (offset[i + 1] < offset[i])
      fail(fmt::format("offsets[{}] falls behind the one before", i + 1));
    ranges_.emplace_hint(ranges_.end(), row[i], Range{offset[i], offset[i + 1]});
  }
  const int64_t tokens = router_inputs_.size(0);
  if (offset[0] != 0 || offset[texts] != tokens || residual_.size(0) != tokens) {
    fail(fmt::format("offsets span {} to {} over {} router inputs and {} residuals", offset[0],
                     offset[texts], tokens, residual_.size(0)));
  }
}

std::optional<FeatureShard::Range> FeatureShard::find(int64_t row) const {
  const auto found = ranges_.find(row);
  if (found == ranges_.end()) return std::nullopt;
  return found->second;
}

}  // namespace foregate::predict
