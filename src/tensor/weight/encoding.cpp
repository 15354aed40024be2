#include "tensor/weight/encoding.h"

#include <algorithm>
#include <array>

#include "tensor/weight/quantized_rows.h"

namespace foregate::tensor {
namespace {

constexpr std::array kEncodings = {
    Encoding{Quantization::kNone, "none", 0, 0, c10::ScalarType::Undefined, "", nullptr, nullptr},
    Encoding{Quantization::kInt8, "int8", 8, 0, c10::ScalarType::Char, ".scale", encode_int8,
             decode_int8},
    Encoding{Quantization::kNf4, "nf4", 4, kNf4Block, c10::ScalarType::Byte, ".absmax", encode_nf4,
             decode_nf4},
};

constexpr auto kKinds = [] {
  std::array<Quantization, kEncodings.size()> kinds{};
  std::ranges::transform(kEncodings, kinds.begin(), &Encoding::kind);
  return kinds;
}();

template <Quantization kKind>
const Encoding& line() {
  constexpr auto kFound = std::ranges::find(kKinds, kKind);
  static_assert(kFound != kKinds.end(), "the table has no line for this kind");
  return kEncodings[kFound - kKinds.begin()];
}

}  // namespace

#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wswitch"
// Without a default, so that a kind that is not here, or not in the table, does not compile.
const Encoding& encoding(Quantization kind) {
  switch (kind) {
    case Quantization::kNone:
      return line<Quantization::kNone>();
    case Quantization::kInt8:
      return line<Quantization::kInt8>();
    case Quantization::kNf4:
      return line<Quantization::kNf4>();
  }
  __builtin_unreachable();
}
#pragma GCC diagnostic pop

std::span<const Quantization> all_quantizations() {
  return kKinds;
}

Encoding::Shape Encoding::codes_shape(Shape shape) const {
  shape.back() = row_codes(shape.back());
  return shape;
}

Encoding::Shape Encoding::scales_shape(Shape shape) const {
  if (block == 0) {
    shape.pop_back();
  } else {
    shape.back() = row_scales(shape.back());
  }
  return shape;
}

}  // namespace foregate::tensor
