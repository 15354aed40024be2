#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace foregate::tensor {

/// The files of a GGUF model, in the folder of `path`: its own name, or, if it is called
/// "NAME-00002-of-00003.gguf", all three, whether or not they are there.
std::vector<std::string> gguf_split_files(const std::filesystem::path& path);

/// The one of them that tells of the model: the first.
std::filesystem::path first_gguf_file(const std::filesystem::path& path);

}  // namespace foregate::tensor
