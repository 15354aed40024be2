#include "models/formats/scaled_scheme.h"

#include <fmt/core.h>

namespace foregate::models {

using Scales = ScaledLayout::Scales;

// clang-format off
//                                    name                      codes      scales        zeros          global           shape      scale dtype           in_blocks only_stacks
constexpr ScaledLayout kBlockFp8           {"fp8 e4m3",                "",        "_scale_inv", nullptr,       nullptr,         nullptr,  Scales::kFloatOrE8m0, false, false};
constexpr ScaledLayout kTensorFp8          {"fp8 e4m3",                "",        "_scale",     nullptr,       nullptr,         nullptr,  Scales::kFloat,       false, false};
constexpr ScaledLayout kMxfp4Stacks        {"mxfp4",                   "_blocks", "_scales",    nullptr,       nullptr,         nullptr,  Scales::kE8m0,        true,  true};
constexpr ScaledLayout kPackQuantized      {"pack-quantized",          "_packed", "_scale",     "_zero_point", nullptr,         "_shape", Scales::kFloat,       false, false};
constexpr ScaledLayout kIntQuantized       {"int-quantized",           "",        "_scale",     "_zero_point", nullptr,         nullptr,  Scales::kFloat,       false, false};
constexpr ScaledLayout kFloatQuantized     {"float-quantized e4m3",    "",        "_scale",     nullptr,       nullptr,         nullptr,  Scales::kFloat,       false, false};
constexpr ScaledLayout kMxfp4PackQuantized {"mxfp4-pack-quantized",    "_packed", "_scale",     nullptr,       nullptr,         nullptr,  Scales::kE8m0,        false, false};
constexpr ScaledLayout kNvfp4PackQuantized {"nvfp4-pack-quantized",    "_packed", "_scale",     nullptr,       "_global_scale", nullptr,  Scales::kE4m3,        false, false};
constexpr ScaledLayout kModeloptNvfp4      {"nvfp4",                   "",        "_scale",     nullptr,       "_scale_2",      nullptr,  Scales::kE4m3,        false, false};
// clang-format on

std::string ScaledScheme::description() const {
  using Codes = tensor::ScaledFormat::Codes;
  std::string text = layout->name;
  if (format.codes == Codes::kPackedInt) text += fmt::format(" {}-bit", format.bits);
  if (format.block_rows == 0 && format.block_columns == 0) return text + ", a scale a matrix";
  if (format.block_columns == 0) return text + ", a scale a row";
  if (format.block_rows == 1) return text + fmt::format(", groups of {}", format.block_columns);
  return text + fmt::format(", blocks of {} x {}", format.block_rows, format.block_columns);
}

}  // namespace foregate::models
