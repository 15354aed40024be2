// A checkpoint of quantised matrices: a line of JSON, {"quantization_config": {...}, "matrices":
// {NAME: SHAPE}}, and a safetensors file behind it. What its headers allow must be read, and every
// value lie inside the file.
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "fuzz/errors.h"
#include "models/weights/stored_weight.h"
#include "support/temporary_folder.h"
#include "tensor/files/checkpoint.h"

namespace foregate {
namespace {

constexpr int64_t kMostValues = int64_t{1} << 16;

// As verify_weights() compares them.
bool has_part(const tensor::Checkpoint& checkpoint, const models::StoredTensor& part) {
  const tensor::TensorEntry* entry = checkpoint.find(part.name);
  if (entry == nullptr) return !part.required;
  const bool is_float = entry->dtype == torch::kFloat32 || entry->dtype == torch::kBFloat16 ||
                        entry->dtype == torch::kFloat16;
  return entry->shape == part.shape &&
         (part.dtype == torch::ScalarType::Undefined ? is_float : entry->dtype == part.dtype);
}

void read_matrix(const tensor::Checkpoint& checkpoint, const models::CheckpointFormat& format,
                 const std::string& name, const std::vector<int64_t>& shape) {
  for (const models::StoredTensor& part : models::stored_parts(checkpoint, format, name, shape)) {
    if (!has_part(checkpoint, part)) return;
  }
  models::read_stored(checkpoint, format, name, shape,
                      [](int64_t /*first*/, const tensor::Weight& rows) {
                        static_cast<void>(rows.dequantize(torch::kFloat32).sum());
                      });
}

void read_checkpoint(const std::filesystem::path& folder, std::string_view head) {
  const Json json = parse_json(head, "input");
  const JsonReader reader(json, "input");
  const models::CheckpointFormat format = models::read_weight_storage(reader);
  static_cast<void>(format.description());
  const tensor::Checkpoint checkpoint(folder);
  const JsonReader matrices = reader.object("matrices");
  for (const auto& [name, value] : matrices.json().items()) {
    const std::vector<int64_t> shape = matrices.integers(name.c_str());
    int64_t values = 1;
    for (const int64_t size : shape) {
      if (size < 1 || size > kMostValues || (values *= size) > kMostValues) return;
    }
    if (shape.size() < 2) return;
    read_matrix(checkpoint, format, name, shape);
  }
}

}  // namespace
}  // namespace foregate

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const foregate::testing::TemporaryFolder folder;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(input.find('\n'), size);
  folder.write("model.safetensors", input.substr(std::min(end + 1, size)));
  foregate::answer_or_error(
      [&] { foregate::read_checkpoint(folder.path(), input.substr(0, end)); });
  return 0;
}
