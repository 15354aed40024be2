#pragma once

#include <string>
#include <string_view>

namespace foregate {

/// Throws DataError if `content`, of the file `where`, is not the file's content but the pointer
/// that Git LFS or git-annex keeps in its place, as a clone without them leaves it. read_file() and
/// MappedFile ask it of whatever they open.
/// https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
void refuse_pointer(std::string_view content, const std::string& where);

/// Throws DataError if `content` is a web page, which a browser's address gives where the file's
/// own was meant, or XML, in which object stores say that there is no such file.
void refuse_web_page(std::string_view content, const std::string& where);

}  // namespace foregate
