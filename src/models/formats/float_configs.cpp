#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "models/formats/config_readers.h"

namespace foregate::models {
namespace {

using tensor::ScaledFormat;

ScaledScheme block_fp8(const JsonReader& reader) {
  const std::vector<int64_t> block = reader.integers("weight_block_size");
  if (block.size() != 2 || block[0] < 1 || block[1] < 1) {
    reader.fail("weight_block_size", "two numbers of at least 1, rows and columns of a block");
  }
  return {&kBlockFp8,
          {.codes = ScaledFormat::Codes::kE4m3, .block_rows = block[0], .block_columns = block[1]}};
}

}  // namespace

void read_skipped_modules(const JsonReader& reader, CheckpointFormat& format) {
  constexpr const char* kKey = "modules_to_not_convert";
  if (!reader.has(kKey)) return;
  const std::vector<std::string> entries = reader.strings(kKey);
  if (entries.empty()) return;
  format.left_dense.emplace();
  for (const std::string& entry : entries) format.left_dense->add_skipped(entry, reader.where());
}

void read_fp8_config(const JsonReader& reader, CheckpointFormat& format) {
  format.kind = CheckpointFormat::Kind::kScaled;
  const std::string numbers = reader.string("fmt", "e4m3");
  if (numbers != "e4m3" && numbers != "float8_e4m3fn") {
    reader.fail("fmt", "e4m3, the only one supported");
  }
  const bool in_blocks = reader.has("weight_block_size");
  format.scaled = {{.modules = std::nullopt,
                    .scheme = in_blocks ? block_fp8(reader)
                                        : ScaledScheme{&kTensorFp8,
                                                       {.codes = ScaledFormat::Codes::kE4m3,
                                                        .block_rows = 0,
                                                        .block_columns = 0}}}};
  read_skipped_modules(reader, format);
}

// modules_to_not_convert names what never is a stack of experts.
void read_mxfp4_config(const JsonReader& /*reader*/, CheckpointFormat& format) {
  constexpr int64_t kBlock = 32;
  format.kind = CheckpointFormat::Kind::kScaled;
  format.scaled = {{.modules = std::nullopt,
                    .scheme = {&kMxfp4Stacks,
                               {.codes = ScaledFormat::Codes::kE2m1,
                                .bits = 4,
                                .block_rows = 1,
                                .block_columns = kBlock}}}};
}

}  // namespace foregate::models
