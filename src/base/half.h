#pragma once

#include <cstdint>

namespace foregate {

/// IEEE 754 binary16 bits of `value`, rounded to nearest even; too large becomes infinity.
uint16_t float_to_half(float value);
float half_to_float(uint16_t bits);

}  // namespace foregate
