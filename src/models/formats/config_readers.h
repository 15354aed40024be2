#pragma once

#include <string>
#include <string_view>

#include "models/weights/checkpoint_format.h"

namespace foregate::models {

// What quantization_config says of each method, behind its quant_method. All throw DataError,
// saying what is supported, for settings that are not.

void read_gptq_config(const JsonReader& reader, CheckpointFormat& format);
void read_auto_round_config(const JsonReader& reader, CheckpointFormat& format);
void read_awq_config(const JsonReader& reader, CheckpointFormat& format);
void read_bitsandbytes_config(const JsonReader& reader, CheckpointFormat& format);
void read_fp8_config(const JsonReader& reader, CheckpointFormat& format);
void read_mxfp4_config(const JsonReader& reader, CheckpointFormat& format);
void read_compressed_tensors_config(const JsonReader& reader, CheckpointFormat& format);
void read_modelopt_config(const JsonReader& reader, CheckpointFormat& format);

/// modules_to_not_convert, if it names any.
void read_skipped_modules(const JsonReader& reader, CheckpointFormat& format);

}  // namespace foregate::models
