//! QR codes, as browsers show them.

use auth_core::error::Error;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use qrcode::render::svg;
use qrcode::{Color, EcLevel, QrCode};

/// The pixels of a module's side in the PNG.
const SCALE: usize = 6;
/// The modules of white around the code (ISO/IEC 18004 wants four).
const QUIET: usize = 4;

/// The QR code of a text.
pub(super) struct Code(QrCode);

impl Code {
    pub(super) fn of(text: &str) -> Result<Self, Error> {
        QrCode::with_error_correction_level(text, EcLevel::M)
            .map(Self)
            .map_err(|error| Error::internal(error.to_string()))
    }

    /// An SVG document.
    pub(super) fn svg(&self) -> String {
        self.0.render::<svg::Color<'_>>().min_dimensions(200, 200).build()
    }

    /// A PNG in base64, black on white, one bit a pixel.
    pub(super) fn png_base64(&self) -> Result<String, Error> {
        let modules = self.0.width();
        let side = (modules + 2 * QUIET) * SCALE;
        let mut pixels = vec![0xff_u8; side.div_ceil(8) * side];
        let row_bytes = side.div_ceil(8);
        for (index, _) in self.0.to_colors().iter().enumerate().filter(|(_, color)| **color == Color::Dark) {
            let (left, top) = ((index % modules + QUIET) * SCALE, (index / modules + QUIET) * SCALE);
            for y in top..top + SCALE {
                for x in left..left + SCALE {
                    if let Some(byte) = pixels.get_mut(y * row_bytes + x / 8) {
                        *byte &= !(0x80 >> (x % 8));
                    }
                }
            }
        }
        let side = u32::try_from(side).map_err(Error::internal)?;
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, side, side);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        let mut writer = encoder.write_header().map_err(Error::internal)?;
        writer.write_image_data(&pixels).map_err(Error::internal)?;
        writer.finish().map_err(Error::internal)?;
        Ok(STANDARD.encode(file))
    }
}
