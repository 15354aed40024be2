#pragma once

namespace foregate {

/// A program may be started with standard input, output or error closed; the next file it opens
/// would then take that place, and messages would be written into it. Fills such places so that
/// using them fails as it should. Before anything else opens a file.
void fill_closed_standard_streams();

}  // namespace foregate
